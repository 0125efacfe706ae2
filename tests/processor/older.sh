# Programs built here run on a processor without AVX, and on one with AVX2 only, and give there what GRISTMILL_ISA gives here. An instruction that
# the processor does not have would end them. The processors are QEMU's.
command -v qemu-x86_64 >/dev/null || { echo "[skipped] no qemu-x86_64 (Debian's qemu-user)"; exit 0; }
run_on() {  # PROCESSOR TOOL OPTIONS…
  local processor=$1 tool
  tool=$(command -v "$2")
  shift 2
  qemu-x86_64 -cpu "$processor" "$tool" "$@"
}
small=$GRISTMILL_TESTDATA/tokenizer/small.json prose=$GRISTMILL_TESTDATA/tokenizer/prose.jsonl
run_on qemu64 tokenize -q --tokenizer "$small" "$prose" -o old.tok.zst
tokenize -q --tokenizer "$small" "$prose" -o t.tok.zst
cmp old.tok.zst t.tok.zst

tiny="--layers 1 --dim 32 --heads 2 --context 32 --batch-tokens 64 --tokens 640 --threads 2 --tokenizer $small"
for pair in qemu64:scalar max:avx2; do
  processor=${pair%:*} isa=${pair#*:}
  # QEMU knows no AVX-512, so that its best processor ends at AVX2.
  for dtype in fp32 bf16; do
    run_on "$processor" pretrain -q --run-dir "$isa-there-$dtype" $tiny --dtype $dtype t.tok.zst
    GRISTMILL_ISA=$isa pretrain -q --run-dir "$isa-here-$dtype" $tiny --dtype $dtype t.tok.zst
    cmp {"$isa-there-$dtype","$isa-here-$dtype"}/checkpoints/step-10/model.safetensors
  done
  run_on "$processor" generate -q --model "$isa-there-fp32" --prompt The --max-tokens 8 >there.jsonl
  GRISTMILL_ISA=$isa generate -q --model "$isa-here-fp32" --prompt The --max-tokens 8 >here.jsonl
  cmp there.jsonl here.jsonl
done

# Asking for what is not there is one line, not a crash.
code=0
GRISTMILL_ISA=avx512 run_on qemu64 generate -q --model scalar-there-fp32 --prompt The 2>err.txt || code=$?
[ $code -eq 1 ]
[ "$(wc -l <err.txt)" -eq 1 ]
grep -q "GRISTMILL_ISA=avx512: this processor does not have it" err.txt
