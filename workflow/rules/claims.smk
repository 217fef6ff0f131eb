# What the paper claims, judged on the records, and whether the numbers moved.
REFERENCE = f"results/reference/{STUDY.name}.json"

if "accept_reference" in sys.argv and not REASON.strip():
    raise WorkflowError(
        "accept_reference needs a reason, which the reference keeps: --config reason='...'"
    )


use rule table as claims with:
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
    input:
        ALL_RECORDS,
    log:
        f"{LOGS}/check_drift.log",
    conda:
        "../../environment.yml"
    params:
        reference=REFERENCE,
    shell:
        "python -m semflow regression check --records {input} --reference {params.reference} 2>&1 | tee -i {log}"


rule accept_reference:
    input:
        ALL_RECORDS,
    log:
        f"{LOGS}/accept_reference.log",
    conda:
        "../../environment.yml"
    params:
        reference=REFERENCE,
        reason=REASON,
    shell:
        "python -m semflow regression accept --records {input} --reference {params.reference} --reason {params.reason:q}"
        " 2>&1 | tee -i {log}"
