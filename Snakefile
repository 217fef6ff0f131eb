# Found first by a bare `snakemake`; everything is in workflow/.
include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        rules.reproduce_all.input,
