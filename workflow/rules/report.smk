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
    params:
        key=code_of("semflow.analysis.tables"),
        results=RESULTS,
        reports=REPORTS,
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow report table2 --results {params.results} --reports {params.reports} --records {input}"
        " 2>&1 | tee {log}  # {params.key}"


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
    params:
        key=code_of("semflow.analysis.figures"),
        results=RESULTS,
        reports=REPORTS,
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow report figure_table2 --results {params.results} --reports {params.reports}"
        " --records {input.records} 2>&1 | tee {log}  # {params.key}"


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
    params:
        key=code_of("semflow.analysis.figures"),
        results=RESULTS,
        reports=REPORTS,
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow report figure02 --results {params.results} --reports {params.reports}"
        " --records {input} 2>&1 | tee {log}  # {params.key}"


rule page:
    input:
        records=rules.table2.input,
        table=rules.table2.output.csv,
        figures=[*rules.figure_table2.output, *rules.figure02.output],
    output:
        f"{REPORTS}/table2.html",
    log:
        f"{LOGS}/page.log",
    benchmark:
        f"{BENCHMARKS}/page.tsv"
    params:
        key=code_of("semflow.analysis.tables"),
        results=RESULTS,
        reports=REPORTS,
    resources:
        mem_mb=2000,
        runtime=30,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow report page --results {params.results} --reports {params.reports}"
        " --records {input.records} 2>&1 | tee {log}  # {params.key}"
