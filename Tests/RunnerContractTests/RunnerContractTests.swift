// RunnerContractTests
