# A machine without a GPU: one line that says what is missing; auto takes the CPU.
if [ -e /dev/nvidiactl ]; then
  echo "a GPU is here"
  exit
fi
code=0
generate --device cuda --model m --prompt x >out.txt 2>err.txt || code=$?
[ $code -eq 1 ] || { echo "code $code"; cat err.txt; exit 1; }
[ "$(wc -l <err.txt)" -eq 1 ]
grep -q '^generate: no NVIDIA driver: libcuda.so.1: .*; install one, or use --device cpu$' err.txt
[ ! -s out.txt ]
small=$GRISTMILL_TESTDATA/tokenizer/small.json
tokenize -q --tokenizer "$small" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
pretrain -q --device auto --run-dir base --tokenizer "$small" --layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 128 --tokens 256 t.tok.zst
pretrain -q --device cpu --run-dir same --tokenizer "$small" --layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 128 --tokens 256 t.tok.zst
cmp base/checkpoints/step-2/model.safetensors same/checkpoints/step-2/model.safetensors
