# job.sh: what the templates share. They source it on the first node of the allocation, with `home` set to the clone of wrp.
# It finds the commands, looks at the inputs before the job burns time, and finds out how ranks are started here.

say() { echo "wrp job: $*" >&2; }
die() { say "$*"; exit 2; }

for command in wrp_cae_omni wrp_cee; do
    [ -x "$home/bin/$command" ] || die "no bin/$command in $home: submit from the clone of wrp, or set WRP_HOME to it"
done
export PATH=$home/bin:$PATH
nodes=${SLURM_JOB_NUM_NODES:-1}
tasks=${SLURM_NTASKS:-$((nodes * ${SLURM_NTASKS_PER_NODE:-1}))}
# srun takes it from the allocation no more, since Slurm 22.05
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# check_inputs JOBS STORE: the job file is right, its sources can be read, and the store's folder can be made
check_inputs() {
    local parent
    wrp_cae_omni "$1" --check || exit $?
    parent=$(dirname "$2")
    mkdir -p "$parent" || die "the folder $parent for the store $2 can't be made"
    [ -w "$parent" ] || die "the folder $parent for the store $2 can't be written"
}

# choose_start auto|pmix|pmi2|mpirun: sets the array `start` to what stands before a command that runs on every rank,
# and `start_per_node` for one rank on each node, beside other steps.
# auto lets the ranks meet: Slurm's list of plug-ins also names broken ones, and the MPI may not speak what Slurm offers.
choose_start() {
    local kind said
    case $1 in
        pmix | pmi2) start=(srun "--mpi=$1" --overlap) ;;
        mpirun) start_with_mpirun ;;
        auto)
            for kind in pmix pmi2; do
                start=(srun "--mpi=$kind" --overlap)
                said=$(timeout 60 "${start[@]}" wrp_cae_omni --help 2>&1 >/dev/null) && break
                say "${start[*]} starts no ranks of one job here ($(tail -n 1 <<<"$said"))"
                start=()
            done
            if [ ${#start[@]} = 0 ]; then
                start_with_mpirun || die "there is no mpirun either: an MPI must start the ranks, see docs/slurm.md"
            fi ;;
        *) die "launch=$1 is none of auto, pmix, pmi2, mpirun" ;;
    esac
    [ "${start[0]}" = mpirun ] || start_per_node=("${start[@]}" "--ntasks=$nodes" --ntasks-per-node=1)
    say "$tasks rank(s) on $nodes node(s), started with: ${start[*]}"
}

start_with_mpirun() {
    local version
    version=$(mpirun --version 2>&1) || { start=(); return 1; }
    start=(mpirun -n "$tasks") start_per_node=(mpirun -n "$nodes")
    case $version in
        *'Open MPI'* | *OpenRTE*)
            start_per_node+=(--map-by ppr:1:node:oversubscribe)
            # its launcher for Slurm has nothing to launch on one node, and ends on a signal while the ranks still run
            [ "$nodes" != 1 ] || export PRTE_MCA_plm=${PRTE_MCA_plm:-^slurm}
            [ -z "${SLURM_NTASKS_PER_NODE:-}" ] || start+=(--map-by "ppr:$SLURM_NTASKS_PER_NODE:node:oversubscribe") ;;
        *HYDRA* | *Hydra*) start_per_node+=(-ppn 1) ;;
    esac
}
