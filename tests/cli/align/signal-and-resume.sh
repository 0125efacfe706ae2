# SIGTERM in each of the tuning tools: exit code 75 after a checkpoint; resumed, the run ends in the bytes of one that was not disturbed.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
gold=$GRISTMILL_SOURCE/scripts/gold-task
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
pretrain -q --run-dir base --tokenizer "$small" --layers 1 --dim 16 --heads 2 --context 128 --batch-tokens 256 --tokens 256 t.tok.zst
"$gold" conversations 32 >chats.jsonl
"$gold" prompts 8 >prompts.jsonl
python3 - <<'PYTHON'
import json
with open("pairs.jsonl", "w") as out:
    for i, line in enumerate(open("chats.jsonl")):
        question, answer = json.loads(line)["messages"]
        bad = {"role": "assistant", "content": "No."}
        out.write(json.dumps({"id": str(i), "prompt": [question], "chosen": [answer], "rejected": [bad]}) + "\n")
PYTHON
reward-train -q --model base --data pairs.jsonl --run-dir reward

interrupt() {  # TOOL OPTIONS...: a whole run, and one that is stopped and resumed
  local tool=$1 code=0 pid last
  shift
  "$tool" -q "$@" --checkpoint-every 0 --run-dir "$tool-whole"
  "$tool" -q "$@" --checkpoint-every 0 --run-dir "$tool-parts" 2>err.txt &
  pid=$!
  while [ ! -s "$tool-parts/metrics.jsonl" ]; do sleep 0.01; done
  kill -TERM $pid || true
  wait $pid || code=$?
  if [ $code -eq 75 ]; then
    [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "stopped on a signal after step .*; go on with --resume" err.txt || { cat err.txt; exit 1; }
    "$tool" -q "$@" --checkpoint-every 0 --run-dir "$tool-parts" --resume
  else
    [ $code -eq 0 ] || { echo "$tool: exit code $code"; cat err.txt; exit 1; }  # so quick a machine that the run was over
  fi
  echo "$tool: $code" >&2
  last=$(ls -v "$tool-whole/checkpoints" | tail -n 1)
  (cd "$tool-whole/checkpoints/$last" && find . -type f) | while read -r file; do
    cmp "$tool-whole/checkpoints/$last/$file" "$tool-parts/checkpoints/$last/$file"
  done
  [ "$(wc -l <"$tool-whole/metrics.jsonl")" -eq "$(wc -l <"$tool-parts/metrics.jsonl")" ]
}

interrupt sft --model base --data chats.jsonl --batch-size 4 --epochs 8
interrupt reward-train --model base --data pairs.jsonl --batch-size 4 --epochs 8
interrupt dpo --model base --data pairs.jsonl --batch-size 4 --epochs 8
interrupt ppo --model base --reward-model reward --data prompts.jsonl --iterations 4 --rollout-batch 4 --epochs 2 --max-response-tokens 8
