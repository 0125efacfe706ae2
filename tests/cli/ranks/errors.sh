# An error on ranks is said once, with its exit code, and leaves no rank waiting.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
ranks=$GRISTMILL_SOURCE/tests/support/ranks
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--layers 1 --dim 16 --heads 2 --context 32 --batch-tokens 64 --micro-batch-tokens 32 --tokens 640"
expect() {  # CODE WORDS COMMAND...
  local wanted=$1 words=$2 code=0
  shift 2
  "$@" >out.txt 2>err.txt || code=$?
  [ $code -eq "$wanted" ] && [ "$(grep -c -- "$words" err.txt)" -eq 1 ] || { echo "$code: $*"; cat err.txt; exit 1; }
}
expect 1 "nowhere.tok.zst" "$ranks" 2 pretrain -q --run-dir r nowhere.tok.zst
expect 2 "multiple of --heads" "$ranks" 2 pretrain -q --run-dir r --dim 17 --heads 2 t.tok.zst
"$ranks" 2 pretrain -q -j1 --run-dir r $options t.tok.zst
expect 2 "holds a run already" "$ranks" 2 pretrain -q --run-dir r $options t.tok.zst
expect 2 "lr (was 0.001, now 0.5)" "$ranks" 2 pretrain -q --run-dir r $options --lr 0.5 --resume t.tok.zst
expect 1 "is not finite" "$ranks" 2 pretrain -q --run-dir broken $options --lr 1e30 --clip-norm 0 t.tok.zst
# An error that only one rank has.
cat >uneven.sh <<'END'
[ "$OMPI_COMM_WORLD_RANK" -ne 1 ] || set -- "${@/t.tok.zst/elsewhere.tok.zst}"
exec "$@"
END
expect 1 "rank 1: .*elsewhere.tok.zst" "$ranks" 3 bash uneven.sh pretrain -q -j1 --run-dir uneven $options t.tok.zst
[ ! -e uneven/metrics.jsonl ]
# Ranks that do not mean the same run.
cat >other-rate.sh <<'END'
[ "$OMPI_COMM_WORLD_RANK" -ne 1 ] || set -- "$@" --lr 0.5
exec "$@"
END
expect 2 "rank 1 was started with other options than rank 0: lr (was 0.001, now 0.5)" \
  "$ranks" 2 bash other-rate.sh pretrain -q -j1 --run-dir rates $options t.tok.zst
[ ! -e rates ]
# The ranks of a machine share its memory: what is enough for one is not for two.
"$ranks" 2 pretrain -j1 --run-dir fits $options t.tok.zst 2>err.txt
each=$(sed -nE 's/.*memory: sum: ([0-9.]+) (kB|MB), .* for the 2 ranks of this machine.*/\1 \2/p' err.txt |
  awk '{ print int($1 * ($2 == "MB" ? 1e6 : 1e3)) }')
expect 1 "the 2 ranks of this machine need" "$ranks" 2 pretrain -q -j1 --run-dir tight --memory-limit $((each * 3 / 2)) $options t.tok.zst
"$ranks" 2 pretrain -q -j1 --run-dir ample --memory-limit $((each * 21 / 10)) $options t.tok.zst
# A tool that trains on one rank says so, and a launcher without Open MPI is an error, not four runs in one folder.
"$GRISTMILL_SOURCE/tests/support/tiny-model" m
echo '{"messages":[{"role":"user","content":"grind"},{"role":"assistant","content":"flour"}]}' >chats.jsonl
expect 2 "one process" env OMPI_COMM_WORLD_SIZE=2 sft -q --model m --data chats.jsonl --run-dir s
[ ! -e s ]
expect 1 "Open MPI's mpirun, or srun --mpi=pmix" env PMI_SIZE=4 PMI_RANK=0 pretrain -q --run-dir p $options t.tok.zst
[ ! -e p ]
