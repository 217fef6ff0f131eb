# Tables, figures and pages, from records alone: what each needs is said where it is written, in semflow/report.
rule table:
    "A table as CSV, Markdown and LaTeX."
    input:
        records=lambda w: records(w.table),
    output:
        csv=report(
            f"{RESULTS}/{{table}}.csv",
            caption="../report/product.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md=f"{REPORTS}/{{table}}.md",
        tex=f"{REPORTS}/{{table}}.tex",
    log:
        f"{LOGS}/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/{{table}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        what=lambda w: w.table,
        words=lambda w: products.PRODUCTS[w.table].words,
        options="",
        out=lambda w, output: " ".join(output),
        key=lambda w: f"{code_of(w.table)}-{PUBLISHED[w.table]}",
    shell:
        "python -m semflow report {params.what} {params.options} --records {input.records} --out {params.out}"
        " 2>&1 | tee -i {log}  # {params.key}"


use rule table as long_table with:
    "A table in long form, as CSV alone."
    input:
        records=lambda w: records(w.long),
    output:
        report(
            f"{RESULTS}/{{long}}.csv",
            caption="../report/product.rst",
            category="Tables",
            labels={"table": "{long}"},
        ),
    log:
        f"{LOGS}/{{long}}.log",
    benchmark:
        f"{BENCHMARKS}/{{long}}.tsv"
    params:
        what=lambda w: w.long,
        words=lambda w: products.PRODUCTS[w.long].words,
        key=lambda w: code_of(w.long),


use rule table as figure with:
    "A figure as PNG, SVG and PDF, and its caption."
    input:
        records=lambda w: records(w.figure),
    output:
        report(
            f"{REPORTS}/figures/{{figure}}.png",
            caption="../report/product.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        f"{REPORTS}/figures/{{figure}}.svg",
        f"{REPORTS}/figures/{{figure}}.pdf",
        f"{REPORTS}/figures/{{figure}}.txt",
    log:
        f"{LOGS}/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/{{figure}}.tsv"
    params:
        what=lambda w: w.figure,
        words=lambda w: products.PRODUCTS[w.figure].words,
        key=lambda w: f"{code_of(w.figure)}-{PUBLISHED['table2']}",


use rule table as page with:
    "The page of a table, with its figures."
    input:
        records=lambda w: records(w.table),
        beside=lambda w: drawn(*PAGE_FIGURES[w.table], suffixes=("txt", "svg")),
    output:
        f"{REPORTS}/{{table}}.html",
    log:
        f"{LOGS}/page-{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/page-{{table}}.tsv"
    params:
        what=lambda w: f"{w.table}_page",
        options=lambda w, input: captions(input.get("beside", [])),
        key=lambda w: f"{code_of(f'{w.table}_page')}-{PAGE_FILES}-{PUBLISHED[w.table]}",


use rule table as methods with:
    "A page on each method: recipe, budget, numbers and command."
    input:
        records=ALL_RECORDS,
    output:
        METHODS_PAGE,
    log:
        f"{LOGS}/methods.log",
    benchmark:
        f"{BENCHMARKS}/methods.tsv"
    params:
        what="methods",
        words=products.PRODUCTS["methods"].words,
        key=f"{code_of('methods')}-{PUBLISHED['claims']}-{METHODS_WORDS}",


use rule table as site with:
    "The report: one page, with the pictures that it shows."
    input:
        records=ALL_RECORDS,
        claims=CLAIMS,
        beside=drawn(*FIGURES, suffixes=("txt", "svg")),
    output:
        html=INDEX,
        pictures=directory(f"{REPORTS}/pictures"),
    log:
        f"{LOGS}/site.log",
    benchmark:
        f"{BENCHMARKS}/site.tsv"
    params:
        what="index",
        out=lambda w, output: output.html,
        words=products.PRODUCTS["index"].words,
        options=lambda w, input: f"--claims {input.claims} {captions(input.get('beside', []))}",
        key=f"{code_of('index')}-{PAGE_FILES}-{METHODS_WORDS}-{PUBLISHED['table1']}-{PUBLISHED['table2']}",
