// rhythm-bench
