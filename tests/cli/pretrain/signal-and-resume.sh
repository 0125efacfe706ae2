# SIGTERM and SIGUSR1 save a checkpoint and end with 75, kill -9 loses what came after the last one; resumed on other
# threads, the run ends in the bytes of one that was not disturbed.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--tokenizer $small --layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 64 --tokens 25600 --skip-outliers 3 --z-loss 1e-4 --val t.tok.zst --validate-every 0"
pretrain -q -j1 --run-dir whole $options --checkpoint-every 0 t.tok.zst 2>/dev/null

steps_of() { if [ -e "$1/metrics.jsonl" ]; then wc -l <"$1/metrics.jsonl"; else echo 0; fi; }
start_and_signal() {  # SIGNAL RUN OPTIONS...: signals after nine more steps, sets code to the run's end
  local signal=$1 run=$2 pid before
  shift 2
  before=$(steps_of "$run")
  pretrain -q "$@" --run-dir "$run" $options t.tok.zst 2>err.txt &
  pid=$!
  while [ "$(steps_of "$run")" -lt $((before + 9)) ]; do sleep 0.01; done
  kill -"$signal" $pid
  code=0
  wait $pid || code=$?
}
start_and_signal TERM parts -j1 --checkpoint-every 0
[ $code -eq 75 ]
grep -q "stopped on a signal after step .*; go on with --resume" err.txt
ls parts/checkpoints | grep -q '^step-'
start_and_signal USR1 parts -j2 --checkpoint-every 0 --resume
[ $code -eq 75 ]
grep -q "stopped on a signal" err.txt
start_and_signal KILL parts -j1 --checkpoint-every 7 --resume
[ $code -eq 137 ]
pretrain -q -j2 --run-dir parts $options --checkpoint-every 0 --resume t.tok.zst 2>/dev/null
for file in model.safetensors optimizer.safetensors trainer.json config.json tokenizer.json; do
  if [ $file = trainer.json ]; then
    diff <(grep -v checkpoint-every whole/checkpoints/step-400/$file) <(grep -v checkpoint-every parts/checkpoints/step-400/$file)
  else
    cmp whole/checkpoints/step-400/$file parts/checkpoints/step-400/$file
  fi
done
cmp whole/checkpoints/step-400/tokenizer.json "$small"
python3 - <<'PYTHON'
import json
def lines(run):
    rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
    for row in rows:
        mfu = row.pop("mfu")
        assert mfu is None or 0 < mfu < 1, mfu
        for key in ("tokens_per_s", "memory"):
            assert row.pop(key) > 0
    return rows
assert lines("whole") == lines("parts")
rows = lines("whole")
assert [row["step"] for row in rows] == list(range(1, 401))
assert list(rows[0]) == ["step", "tokens", "loss", "lr", "grad_norm", "z_loss"], rows[0]
assert rows[-1]["loss"] < rows[0]["loss"] - 1 and rows[-1]["val_perplexity"] > 1
PYTHON
# The run directory's options are a configuration file, and the run directory a model to start from.
pretrain -q --config whole/config.toml --tokens 64 --run-dir again t.tok.zst
pretrain -q --init whole --tokens 64 --batch-tokens 64 --run-dir further t.tok.zst
cmp further/checkpoints/step-1/tokenizer.json "$small"
