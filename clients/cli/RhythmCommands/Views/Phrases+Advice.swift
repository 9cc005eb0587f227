package import RhythmCore

extension Phrases {
    /// What to change so that a step does not fail in the same way again, where that is known.
    package static func advice(on failure: Failure, task: String) -> String? {
        guard let name = failure.refusedInjection else { return nil }
        return
            "Its task takes no argument '\(name)' from the server: start rhythmd with --no-inject '\(task.printable)' and"
            + " resume it, or write 'inject: none' in the step of new workflows."
    }
}
