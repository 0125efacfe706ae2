# Three styles in one pass; every score can be recomputed from the records.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
eval-bench -q --model m --task mmlu --style all --records records.jsonl "$GRISTMILL_TESTDATA/eval/questions.jsonl" -o report.json
python3 - <<'END'
import json
report = json.load(open("report.json"))
records = [json.loads(line) for line in open("records.jsonl")]
assert report["n"] == 4 and abs(report["random_baseline"] - (3 * 0.25 + 0.5) / 4) < 1e-12
assert [r["style"] for r in report["results"]] == ["harness", "original", "helm"]
for result in report["results"]:
    rows = [r for r in records if r["style"] == result["style"]]
    assert len(rows) == 4
    assert result["acc"] == sum(r["acc"] for r in rows) / 4
    if "log_probs" in rows[0]:
        best = lambda values: max(range(len(values)), key=lambda i: values[i])
        assert result["acc"] == sum(best(r["log_probs"]) == r["answer"] for r in rows) / 4
    if result["style"] == "harness":
        by_length = lambda r, key: best([l / n for l, n in zip(r["log_probs"], r[key])]) == r["answer"]
        assert result["acc_norm"] == sum(by_length(r, "characters") for r in rows) / 4
        assert result["acc_bytes"] == sum(by_length(r, "bytes") for r in rows) / 4
assert set(report["results"][0]["subjects"]) == {"rural_crafts", "weather"}
END
code=0; echo '{"question":"x","choices":["a"],"answer":0}' | eval-bench --model m 2>err || code=$?
[ "$code" -eq 1 ]
grep -q "record 1" err
code=0; eval-bench --model m --dev "$GRISTMILL_TESTDATA/eval/questions.jsonl" "$GRISTMILL_TESTDATA/eval/questions.jsonl" 2>err || code=$?
[ "$code" -eq 2 ]
grep -q -- "--shots" err
echo done
