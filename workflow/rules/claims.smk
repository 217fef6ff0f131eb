# What the paper claims, judged on the records, and whether the numbers moved.
REFERENCE = f"{REFERENCES}/{FIRST.shares or STUDY.name}.json"

if "accept_reference" in sys.argv and not REASON.strip():
    raise WorkflowError(
        "accept_reference needs a reason, which the reference keeps: --config reason='...'"
    )


use rule table as claims with:
    "Judges the paper's claims on the records: claims.json, text and badge."
    input:
        records=ALL_RECORDS,
    output:
        report(
            CLAIMS,
            caption="../report/product.rst",
            category="Verdicts",
            labels={"verdicts": "every claim", "form": "data"},
        ),
        report(
            f"{REPORTS}/claims.md",
            caption="../report/product.rst",
            category="Verdicts",
            labels={"verdicts": "every claim", "form": "text"},
        ),
        report(
            f"{REPORTS}/claims.svg",
            caption="../report/product.rst",
            category="Verdicts",
            labels={"verdicts": "how many of each", "form": "badge"},
        ),
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{BENCHMARKS}/claims.tsv"
    params:
        what="claims",
        words=products.PRODUCTS["claims"].words,
        key=f"{code_of('claims')}-{PUBLISHED['claims']}-{PUBLISHED['table1']}-{PUBLISHED['table2']}",


rule check_drift:
    "Compares the records with the reference: whether a number changed for the worse."

    # Exit status 0: no drift, 1: drift, 3: not the same metric, 4: cannot be told. The check writes its files before it ends.
    input:
        ALL_RECORDS,
    log:
        f"{LOGS}/check_drift.log",
    conda:
        "../../environment.yml"
    params:
        reference=REFERENCE,
        out=f"{REPORTS}/drift",
    shell:
        "set -o pipefail; python -m semflow regression check --records {input} --reference {params.reference}"
        " --out {params.out}.json --page {params.out}.html 2>&1 | tee -i {log}"


rule accept_reference:
    "Makes the records the reference, for a reason that it keeps."

    # With the weights of the first training seed, where the suite trains: what `verify_table2` evaluates.
    input:
        records=ALL_RECORDS,
        weights=[] if FIRST.checkpoints else list(SHIPPED.values()),
    log:
        f"{LOGS}/accept_reference.log",
    conda:
        "../../environment.yml"
    params:
        reference=REFERENCE,
        reason=REASON,
        weights=lambda w, input: "".join(
            f" && mkdir -p {REFERENCES}/weights && rm -rf {REFERENCES}/weights/{method} && cp -r {path} {REFERENCES}/weights/{method}"
            for method, path in SHIPPED.items()
            if input.weights
        ),
    shell:
        "(python -m semflow regression accept --records {input.records} --reference {params.reference} --reason {params.reason:q}"
        "{params.weights}) 2>&1 | tee -i {log}"


rule verify_table2:
    "Evaluates the committed weights again, makes Table 2 of that and compares it with the reference; trains nothing."

    # A second Snakemake evaluates the reference's weights as config/verify.yaml says, and compares; --nolock, since this one holds
    # the lock.
    log:
        f"{LOGS}/verify_table2.log",
    conda:
        "../../environment.yml"
    threads: workflow.resource_settings.cores or 1
    params:
        config=f"{Path(SOURCES).parent}/config/verify.yaml",
        snakefile=f"{SOURCES}/Snakefile",
    shell:
        "set -o pipefail; python -m snakemake reproduce_table2 check_drift --cores {threads} --snakefile {params.snakefile:q}"
        " --configfile {params.config:q} --nolock 2>&1 | tee -i {log}"
