# One rank that accumulates and several ranks that share the micro-batches end in the same bytes.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
shape="--layers 2 --dim 32 --heads 2 --context 32"
same() {  # RUN: its last checkpoint and its metrics, but for times, are those of "alone"
  for file in model.safetensors optimizer.safetensors trainer.json config.json; do
    cmp alone/checkpoints/step-6/$file "$1"/checkpoints/step-6/$file
  done
  python3 - "$1" <<'PYTHON'
import json, sys
def lines(run):
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    for row in rows:
        for key in ("tokens_per_s", "memory", "mfu"):
            row.pop(key)
    return rows
rows = lines(sys.argv[1])
assert rows == lines("alone") and [row["step"] for row in rows] == list(range(1, 7))
assert "val_loss" in rows[-1]
PYTHON
}
compare() {  # RANKS BATCH OPTIONS: a micro-batch has 32 tokens
  local batch=$2 count
  options="$shape --batch-tokens $batch --micro-batch-tokens 32 --tokens $((6 * batch)) --val t.tok.zst --checkpoint-every 4 --validate-every 3 $3"
  rm -rf alone
  pretrain -q -j2 --run-dir alone $options t.tok.zst
  for count in $1; do
    rm -rf together
    "$ranks" $count pretrain -q -j1 --run-dir together $options t.tok.zst
    same together
  done
}
compare "1 2 4" 128 "--optimizer adamw --z-loss 1e-4"
compare "2 4" 128 "--optimizer muon --dtype bf16"
# Five micro-batches, three and one, which the ranks do not divide.
compare "2 4" 160 "--optimizer muon --recompute block"
compare "2 4" 96 "--optimizer adamw --dtype bf16 --recompute block"
compare "4" 32 "--optimizer muon --dtype bf16 --recompute none --z-loss 1e-4"
# Experts: the balance is each micro-batch's own.
compare "2 4" 160 "--optimizer muon --experts 4 --hidden-dim 48 --router-z-loss 1e-3"
compare "2" 96 "--optimizer adamw --experts 4 --hidden-dim 40 --dtype bf16 --recompute block"
# The gradients cut as well (the record of the run alone says so too, and means nothing there).
compare "2 4" 128 "--optimizer adamw --zero 2"
compare "2 4" 160 "--optimizer muon --zero 2 --dtype bf16 --untied"
compare "2" 96 "--optimizer muon --experts 4 --hidden-dim 40 --zero 2 --deterministic-reduce"
# The first rank alone speaks.
rm -rf together
"$ranks" 2 pretrain -j1 --run-dir together $options t.tok.zst 2>err.txt
[ "$(grep -c 'finished 6 steps' err.txt)" -eq 1 ]
grep -q "2 ranks" err.txt
