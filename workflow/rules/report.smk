rule table2:
    input:
        records(SUITE.evaluation.sweeps),
        control_records(),
    output:
        csv=report(
            f"{RESULTS}/table2.csv",
            caption="../report/table2.rst",
            category="Tables",
            labels={"table": "2", "form": "data"},
        ),
        md=f"{REPORTS}/table2.md",
        tex=f"{REPORTS}/table2.tex",
    log:
        f"{LOGS}/table2.log",
    benchmark:
        f"{BENCHMARKS}/table2.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=f"{code_of('semflow.analysis.tables')}-{PUBLISHED}",
    shell:
        "python -m semflow report table2 --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule figure_table2:
    input:
        table=rules.table2.output.csv,
        records=control_records(),
    output:
        report(
            f"{REPORTS}/figures/table2.png",
            caption="../report/figure_table2.rst",
            category="Figures",
            labels={"figure": "Table 2 as curves"},
        ),
        f"{REPORTS}/figures/table2.svg",
        f"{REPORTS}/figures/table2.txt",
    log:
        f"{LOGS}/figure_table2.log",
    benchmark:
        f"{BENCHMARKS}/figure_table2.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=f"{code_of('semflow.analysis.figures')}-{PUBLISHED}",
    shell:
        "python -m semflow report figure_table2 --table {input.table} --records {input.records} --out {output}"
        " 2>&1 | tee -i {log}  # {params.key}"


rule figure02:
    input:
        records(SEVERAL_SEEDS, only_repeats=True),
    output:
        report(
            f"{REPORTS}/figures/figure02.png",
            caption="../report/figure02.rst",
            category="Figures",
            labels={"figure": "2"},
        ),
        f"{REPORTS}/figures/figure02.svg",
        f"{REPORTS}/figures/figure02.txt",
    log:
        f"{LOGS}/figure02.log",
    benchmark:
        f"{BENCHMARKS}/figure02.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=f"{code_of('semflow.analysis.figures')}-{PUBLISHED}",
    shell:
        "python -m semflow report figure02 --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule page:
    input:
        records=rules.table2.input,
        table=rules.table2.output.csv,
        captions=[rules.figure_table2.output[2], rules.figure02.output[2]],
        pictures=[*rules.figure_table2.output[:2], *rules.figure02.output[:2]],
    output:
        f"{REPORTS}/table2.html",
    log:
        f"{LOGS}/page.log",
    benchmark:
        f"{BENCHMARKS}/page.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=f"{code_of('semflow.analysis.page')}-{PUBLISHED}",
    shell:
        "python -m semflow report page --table {input.table} --captions {input.captions} --records {input.records}"
        " --out {output} 2>&1 | tee -i {log}  # {params.key}"
