TABLE1_RECORDS = records("table1_segmentation", "table1_synthesis")
TABLE2_RECORDS = records("table2")
FIGURE_RECORDS = records(*FIGURES)
ALL_RECORDS = list(dict.fromkeys([*TABLE1_RECORDS, *TABLE2_RECORDS, *FIGURE_RECORDS]))


rule table1:
    input:
        TABLE1_RECORDS,
    output:
        csv=report(
            f"{RESULTS}/table1.csv",
            caption="../report/table1.rst",
            category="Tables",
            labels={"table": "1", "form": "data"},
        ),
        md=f"{REPORTS}/table1.md",
        tex=f"{REPORTS}/table1.tex",
    log:
        f"{LOGS}/table1.log",
    benchmark:
        f"{BENCHMARKS}/table1.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=f"{code_of('semflow.report.table1')}-{PUBLISHED[1]}",
    shell:
        "python -m semflow report table1 --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule table2:
    input:
        TABLE2_RECORDS,
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
        key=f"{code_of('semflow.report.table2')}-{PUBLISHED[2]}",
    shell:
        "python -m semflow report table2 --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule ablations:
    input:
        FIGURE_RECORDS,
    output:
        report(
            f"{RESULTS}/ablations.csv",
            caption="../report/ablations.rst",
            category="Tables",
            labels={"table": "ablations", "form": "data"},
        ),
    log:
        f"{LOGS}/ablations.log",
    benchmark:
        f"{BENCHMARKS}/ablations.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=code_of("semflow.report.ablations"),
    shell:
        "python -m semflow report ablations --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule budget:
    input:
        records("budget"),
    output:
        report(
            BUDGET,
            caption="../report/budget.rst",
            category="Tables",
            labels={"table": "budget", "form": "data"},
        ),
    log:
        f"{LOGS}/budget.log",
    benchmark:
        f"{BENCHMARKS}/budget.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=code_of("semflow.report.budget"),
    shell:
        "python -m semflow report budget --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule figure:
    input:
        lambda w: records(w.figure),
    output:
        report(
            f"{REPORTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        f"{REPORTS}/figures/{{figure}}.svg",
        f"{REPORTS}/figures/{{figure}}.txt",
    log:
        f"{LOGS}/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/{{figure}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        words=lambda w: PRODUCTS[w.figure].words,
        key=lambda w: f"{code_of(PRODUCTS[w.figure].module)}-{PUBLISHED[2]}",
    shell:
        "python -m semflow report {wildcards.figure} --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule page:
    input:
        records=lambda w: {"table1": TABLE1_RECORDS, "table2": TABLE2_RECORDS}[w.table],
        captions=lambda w: [
            f"{REPORTS}/figures/{name}.txt" for name in PAGE_FIGURES[w.table]
        ],
        pictures=lambda w: [
            f"{REPORTS}/figures/{name}.svg" for name in PAGE_FIGURES[w.table]
        ],
    output:
        f"{REPORTS}/{{table}}.html",
    log:
        f"{LOGS}/page-{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/page-{{table}}.tsv"
    wildcard_constraints:
        table="table1|table2",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        key=lambda w: f"{code_of('semflow.report.page')}-{PAGE_FILES}-{PUBLISHED[int(w.table[-1])]}",
        captions=lambda w, input: (
            f"--captions {' '.join(input.captions)}" if input.captions else ""
        ),
    shell:
        "python -m semflow report {wildcards.table}_page {params.captions} --records {input.records}"
        " --out {output} 2>&1 | tee -i {log}  # {params.key}"
