"""The measurement: corpora, distances, codecs behind one interface, sweeps, tables and plots.

The parts, in the order in which a sweep uses them:

    corpus     a folder or a manifest → clips, read as float [n, ch] at 48 kHz
    codecs     ravecodec, Opus and the anchors behind encode(wav) → bytes, decode(bytes) → wav
    metrics    one distance a file, each with its formula and its source
    measure    one clip through one codec → one row
    points     which codecs at which settings
    guard      the same in a process of its own, under a time limit that holds
    cluster, cost    where the processes are, and what each metric cost
    sweep      every clip through every operating point, cached and in parallel
    summary    rows → means with bootstrap intervals, by kind and overall
    curves, bd, equivalent     operating points as curves: hulls, BD-rates, equivalent Opus bitrates
    findings, analysis    what a record says in words, and what follows from it
    compare, ablation    records against each other, stage by stage
    results, table, plots, spectrogram, report, webmushra    what people read and listen to
    bench, startup, spread    speed, latency and memory

Nothing here knows a codec's bits beyond the length of what `encode` returned and the facts that its header
states.
"""
