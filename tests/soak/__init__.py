"""
Ten thousand runs, a thousand of them killed: ``python -m tests.soak``; what is lost, torn or left behind is counted.

::

    models      cheap models whose output can be worked out without them
    ledger      what each run says outside of its store, before it begins and when it is over
    place       the folder of a scenario: its store, its inputs and outputs, its cache, its temporary files
    faults      the layer under a process that makes disks full, slow and broken and clocks wrong (``faults.c``)
    warm        a process that has imported everything, and forks children to be killed
    works       what these children do
    counting    ledger and folders -> numbers and problems
    scenarios   what happens to whom
    report      the same as a page and as JSON
    run         the command
"""
