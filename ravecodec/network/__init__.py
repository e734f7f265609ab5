"""The neural network: filter bank, encoder, decoder, discriminator (torch lives here and in training)."""
