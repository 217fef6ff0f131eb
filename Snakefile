# Found first by a bare `snakemake`; everything is in workflow/.
include: "workflow/Snakefile"


rule all:
    "The default: everything that the suite measures and shows."
    default_target: True
    input:
        rules.reproduce_all.input,
