# SIGTERM in each of the tuning tools: exit code 75 after a checkpoint; resumed, the run ends in the bytes of one that was not disturbed.
source "$GRISTMILL_SOURCE/tests/cli/align/chain" 128 32 8
reward-train -q --model base --data pairs.jsonl --run-dir reward

stop() {  # TOOL OPTIONS...: signals the run after its first step; code is how it ended
  local tool=$1 pid
  shift
  rm -rf "$tool-parts"
  "$tool" -q "$@" --checkpoint-every 0 --run-dir "$tool-parts" 2>err.txt &
  pid=$!
  while [ ! -s "$tool-parts/metrics.jsonl" ]; do sleep 0.01; done
  kill -TERM $pid || true
  code=0
  wait $pid || code=$?
}
interrupt() {  # TOOL FLAG LENGTH OPTIONS...: a run that is stopped and resumed, and a whole one
  local tool=$1 flag=$2 length=$3 last code
  shift 3
  stop "$tool" "$@" "$flag" $length
  while [ $code -eq 0 ] && [ $length -lt 1000 ]; do  # the machine was done before the signal came: give it more to do
    length=$((4 * length))
    stop "$tool" "$@" "$flag" $length
  done
  [ $code -eq 75 ] || { echo "$tool: exit code $code"; cat err.txt; exit 1; }
  [ "$(wc -l <err.txt)" -eq 1 ] && grep -q "stopped on a signal after step .*; go on with --resume" err.txt || { cat err.txt; exit 1; }
  "$tool" -q "$@" "$flag" $length --checkpoint-every 0 --run-dir "$tool-parts" --resume
  "$tool" -q "$@" "$flag" $length --checkpoint-every 0 --run-dir "$tool-whole"
  last=$(ls -v "$tool-whole/checkpoints" | tail -n 1)
  (cd "$tool-whole/checkpoints/$last" && find . -type f) | while read -r file; do
    cmp "$tool-whole/checkpoints/$last/$file" "$tool-parts/checkpoints/$last/$file"
  done
  [ "$(wc -l <"$tool-whole/metrics.jsonl")" -eq "$(wc -l <"$tool-parts/metrics.jsonl")" ]
}

interrupt sft --epochs 8 --model base --data chats.jsonl --batch-size 4
interrupt reward-train --epochs 8 --model base --data pairs.jsonl --batch-size 4
interrupt dpo --epochs 8 --model base --data pairs.jsonl --batch-size 4
interrupt ppo --iterations 4 --model base --reward-model reward --data prompts.jsonl --rollout-batch 4 --epochs 2 --max-response-tokens 8
