"""wrp: an MPI-parallel HPC toolkit that holds the data of scientific jobs close to their compute."""

__version__ = "0.1.0"
