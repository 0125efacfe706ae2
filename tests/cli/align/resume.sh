# A run that goes on from a checkpoint ends with the bytes of one that was never stopped, and refuses other data,
# another model and another reference.
source "$GRISTMILL_SOURCE/tests/cli/align/chain" 160 12 10
pretrain -q --run-dir narrow --tokenizer "$small" --layers 1 --dim 16 --heads 2 --context 64 --batch-tokens 256 --tokens 512 t.tok.zst
for file in chats pairs prompts; do tac $file.jsonl >other-$file.jsonl; done
go_on() {  # NAME COMMAND...: runs it whole, takes the last checkpoint away, resumes, compares
  local run=$1 last
  shift
  "$@" --run-dir "$run"
  last=$(ls -v "$run/checkpoints" | tail -n 1)
  mv "$run/checkpoints/$last" "$run-whole"
  "$@" --run-dir "$run" --resume
  diff -r "$run-whole" "$run/checkpoints/$last"
}
refused() {  # WORDS COMMAND...
  local words=$1 code=0
  shift
  "$@" 2>err.txt || code=$?
  [ $code -eq 2 ] && grep -q -- "$words" err.txt || { echo "$code: $*"; cat err.txt; exit 1; }
}
often="--checkpoint-every 1 --keep-checkpoints 9"
go_on sft sft -q --model base --data chats.jsonl --epochs 2 --batch-size 8 $often
go_on reward reward-train -q --model base --data pairs.jsonl --epochs 2 --batch-size 8 $often
go_on dpo dpo -q --model base --data pairs.jsonl --epochs 2 --batch-size 8 $often
ppo="--iterations 3 --rollout-batch 4 --epochs 2 --mini-batches 2 --micro-batch-tokens 100 --max-response-tokens 8 --target-kl 1"
go_on ppo ppo -q --model base --reward-model reward --data prompts.jsonl $ppo $often

refused "data_digest" sft -q --model base --data other-chats.jsonl --epochs 2 --batch-size 8 $often --run-dir sft --resume
refused "data_digest" reward-train -q --model base --data other-pairs.jsonl --epochs 2 --batch-size 8 $often --run-dir reward --resume
refused "data_digest" dpo -q --model base --data other-pairs.jsonl --epochs 2 --batch-size 8 $often --run-dir dpo --resume
refused "reference" dpo -q --model base --reference sft --data pairs.jsonl --epochs 2 --batch-size 8 $often --run-dir dpo --resume
refused "data_digest" ppo -q --model base --reward-model reward --data other-prompts.jsonl $ppo $often --run-dir ppo --resume
refused "model" ppo -q --model sft --reward-model reward --data prompts.jsonl $ppo $often --run-dir ppo --resume

# config.toml is a configuration: what it holds makes the same run again.
again() {  # RUN COMMAND...
  local run=$1 last
  shift
  "$@" --config "$run/config.toml" --run-dir "again-$run"
  last=$(ls -v "$run/checkpoints" | tail -n 1)
  diff -r "$run/checkpoints/$last" "again-$run/checkpoints/$last"
}
again sft sft -q --data chats.jsonl
again reward reward-train -q --data pairs.jsonl
again dpo dpo -q --data pairs.jsonl
again ppo ppo -q --data prompts.jsonl

# A reference that reads other ids is no reference.
tokenize-train -q --vocab-size 300 "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o tiny.json
tokenize -q --tokenizer tiny.json "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o tiny.tok.zst
pretrain -q --run-dir foreign --tokenizer tiny.json --layers 1 --dim 16 --heads 2 --context 160 --batch-tokens 256 --tokens 512 tiny.tok.zst
code=0
dpo -q --model base --reference foreign --data pairs.jsonl --run-dir r 2>err.txt || code=$?
[ $code -eq 1 ]
grep -q "another tokenizer" err.txt

# Prompts must fit the reward model too, not only the policy.
reward-train -q --model narrow --data pairs.jsonl --run-dir small-reward --batch-size 8
refused "context of 64" ppo -q --model base --reward-model small-reward --data prompts.jsonl --iterations 1 --max-response-tokens 64 --run-dir r
[ ! -e r ]
