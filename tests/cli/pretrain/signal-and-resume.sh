# SIGTERM saves a checkpoint and ends with 75; resumed on other threads, the run ends in the bytes of one that was not disturbed.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--tokenizer $small --layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 64 --tokens 25600 --checkpoint-every 0 --val t.tok.zst --validate-every 0"
pretrain -q -j1 --run-dir whole $options t.tok.zst
pretrain -q -j1 --run-dir parts $options t.tok.zst 2>err.txt &
pid=$!
while [ ! -s parts/metrics.jsonl ]; do sleep 0.01; done
kill -TERM $pid
code=0
wait $pid || code=$?
if [ $code -eq 75 ]; then
  grep -q "stopped on a signal after step .*; go on with --resume" err.txt
  ls parts/checkpoints | grep -q '^step-'
  pretrain -q -j2 --run-dir parts $options --resume t.tok.zst
else
  [ $code -eq 0 ]  # a machine so quick that the run was over
fi
for file in model.safetensors optimizer.safetensors trainer.json config.json tokenizer.json; do
  cmp whole/checkpoints/step-400/$file parts/checkpoints/step-400/$file
done
cmp whole/checkpoints/step-400/tokenizer.json "$small"
python3 - <<'PYTHON'
import json
def lines(run):
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    for row in rows:
        for key in ("tokens_per_s", "memory"):
            assert row.pop(key) > 0
    return rows
assert lines("whole") == lines("parts")
rows = lines("whole")
assert [row["step"] for row in rows] == list(range(1, 401))
assert list(rows[0]) == ["step", "tokens", "loss", "lr", "grad_norm", "mfu"], rows[0]
assert rows[-1]["loss"] < rows[0]["loss"] - 1 and rows[-1]["val_perplexity"] > 1
PYTHON
# The run directory's options are a configuration file, and the run directory a model to start from.
pretrain -q --config whole/config.toml --tokens 64 --run-dir again t.tok.zst
pretrain -q --init whole --tokens 64 --batch-tokens 64 --run-dir further t.tok.zst
cmp further/checkpoints/step-1/tokenizer.json "$small"
