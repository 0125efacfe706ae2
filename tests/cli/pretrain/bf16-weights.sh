# Weights in bf16: half of the file, generated from alike with and without --weights bf16, tuned further, resumed, and what does not go with them.
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 128 --tokens 1280 --tokenizer $small --checkpoint-every 5"
refused() {  # WORDS OPTIONS…
  local words=$1 code=0
  shift
  pretrain -q --run-dir refused $options "$@" t.tok.zst 2>err.txt || code=$?
  [ $code -eq 2 ] && [ "$(wc -l <err.txt)" -eq 1 ] && grep -q -- "$words" err.txt && [ ! -e refused ] || { echo "$code: $*"; cat err.txt; exit 1; }
}
refused "--dtype bf16" --weights bf16
refused "muon" --dtype bf16 --weights bf16 --optimizer muon
options="$options --dtype bf16"
pretrain -q --run-dir wide $options t.tok.zst
pretrain --run-dir narrow $options --weights bf16 t.tok.zst 2>log.txt
grep -q "memory: parameters" log.txt
pretrain -q --run-dir parts $options --weights bf16 t.tok.zst
rm -r parts/checkpoints/step-10
pretrain -q --run-dir parts $options --weights bf16 --resume t.tok.zst
cmp narrow/checkpoints/step-10/model.safetensors parts/checkpoints/step-10/model.safetensors
code=0
pretrain -q --run-dir parts $options --resume t.tok.zst 2>err.txt || code=$?
[ $code -eq 2 ]
grep -q weights err.txt
[ $((2 * $(stat -c %s narrow/checkpoints/step-10/model.safetensors))) -lt $(($(stat -c %s wide/checkpoints/step-10/model.safetensors) + 8000)) ]
grep -q '"torch_dtype": "bfloat16"' narrow/checkpoints/step-10/config.json
for weights in real bf16; do
  generate -q --model narrow --prompt-ids 1,2,3 --output-ids --temperature 0 --max-tokens 8 --dtype bf16 --weights $weights >$weights.jsonl
done
cmp real.jsonl bf16.jsonl
generate -q --model narrow --prompt-ids 1,2,3 --max-tokens 8 --weights bf16 >out.jsonl 2>err.txt && exit 1
grep -q -- "--dtype bf16" err.txt
