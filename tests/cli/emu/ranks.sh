# Ranks on emulated GPUs, over NCCL: joined by mpirun, or by a file with the variables of torchrun or Slurm.
tokenize -q --tokenizer "$GRISTMILL_TESTDATA/tokenizer/small.json" "$GRISTMILL_TESTDATA/tokenizer/prose.jsonl" -o t.tok.zst
options="--device emu --dtype bf16 --layers 2 --dim 32 --heads 4 --kv-heads 2 --context 32 --batch-tokens 128 --micro-batch-tokens 64 --tokens 1280 --lr 3e-3"
pretrain -q -j1 --run-dir one $options t.tok.zst
same() {  # RUN: the bytes of one rank that accumulates
  cmp one/checkpoints/step-10/model.safetensors "$1/checkpoints/step-10/model.safetensors"
}
said() {  # FILE TEXT
  tr '\n' ' ' <"$1" | grep -q -- "$2" || { echo "$1 lacks: $2"; cat "$1"; exit 1; }
}
refused() {  # CODE FILE: the command behind it, with that code
  local wanted=$1 file=$2 code=0
  shift 2
  "$@" 2>"$file" || code=$?
  [ $code -eq "$wanted" ] || { echo "code $code, not $wanted: $*"; cat "$file"; exit 1; }
}
torch() {  # RANK SIZE FOLDER OPTION…: as torchrun starts one rank
  local rank=$1 size=$2 folder=$3
  shift 3
  env RANK=$rank WORLD_SIZE=$size LOCAL_RANK=$rank TORCHELASTIC_RUN_ID=r "${tool[@]}" --run-dir "$folder" --rendezvous "$PWD/meet" $options "$@" t.tok.zst
}
tool=(pretrain -v -j1)

# torchrun's variables; a file of a run that has died is no obstacle.
echo '{"run":"TORCHELASTIC_RUN_ID=r","name":"elsewhere","ranks":2,"message":"old","for":["elsewhere","elsewhere"]}' | tee meet >meet.1
torch 1 2 by-torch --deterministic-reduce 2>torch1.txt &
torch 0 2 by-torch --deterministic-reduce 2>torch0.txt
wait $!
same by-torch
said torch0.txt "gradients travel by NCCL"
said torch0.txt "2 ranks (NCCL of the emulator)"
[ ! -e meet ]
[ ! -e meet.1 ]

# Slurm's, with gradients cut too, in NCCL's order: right but for rounding.
slurm() {  # RANK
  env SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=$1 SLURM_LOCALID=$1 SLURM_JOB_ID=7 SLURM_STEP_ID=0 pretrain -q -j1 --run-dir by-slurm --rendezvous "$PWD/meet" --zero 2 $options t.tok.zst
}
slurm 1 &
slurm 0
wait $!
"$GRISTMILL_SOURCE/tests/cli/emu/close" one by-slurm

# Nobody comes; the others were told of another number; no launcher; the wrong device.
refused 1 alone.txt torch 1 2 nothing --rendezvous-seconds 1
said alone.txt "rank 1 of 2 waited 1 s in vain for rank 0"
refused 2 three.txt torch 1 3 nothing &
refused 2 two.txt torch 0 2 nothing
wait $!
said two.txt "rank 1 was told of 3 ranks, rank 0 of 2"
said three.txt "rank 0 was told of 2 ranks, rank 1 of 3"
refused 2 none.txt pretrain -q --run-dir nothing --rendezvous meet $options t.tok.zst
said none.txt "start with torchrun or srun"
refused 2 cpu.txt env RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 pretrain -q --run-dir nothing --rendezvous meet ${options/emu/cpu} t.tok.zst
said cpu.txt "ranks on GPUs"
refused 2 rank.txt torch 2 2 nothing
said rank.txt "RANK=2 is not below WORLD_SIZE=2"
[ ! -e nothing ]
[ -z "$(ls meet* 2>/dev/null)" ]

# A rank that is killed ends the other within seconds.
options=${options/--tokens 1280/--tokens 9600000}
tool=(bash -c 'echo $$ >pid-$RANK; exec "$@"' bash pretrain -q -j1)
torch 1 2 killed 2>killed1.txt &
torch 0 2 killed 2>killed0.txt &
left=$!
for ((tries = 0; tries < 600; ++tries)); do
  [ -s killed/metrics.jsonl ] && break
  sleep 0.1
done
begin=$SECONDS
kill -KILL "$(cat pid-1)"
code=0
wait $left || code=$?
[ $code -eq 1 ] && [ $((SECONDS - begin)) -lt 10 ] || { echo "code $code after $((SECONDS - begin)) s"; cat killed0.txt; exit 1; }
said killed0.txt "rank 1 is gone"
options=${options/--tokens 9600000/--tokens 1280}

# mpirun's ranks: MPI carries what is said, NCCL the gradients.
command -v mpirun >/dev/null || { echo "[skipped] mpirun is not installed; scripts/setup installs it"; exit; }
"$GRISTMILL_SOURCE/tests/support/ranks" 2 pretrain -v -j1 --run-dir by-mpi --deterministic-reduce $options t.tok.zst 2>mpi.txt
same by-mpi
said mpi.txt "gradients travel by NCCL"
said mpi.txt "2 ranks (Open MPI)"
