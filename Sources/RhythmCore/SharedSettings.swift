/// The settings that servers of one store should have in common, as each of them tells the others: readable values by
/// name, without credentials.
public struct SharedSettings: Sendable, Hashable {
    /// By the name that they have in the configuration file.
    public var values: [String: String]

    /// Makes settings.
    public init(_ values: [String: String] = [:]) { self.values = values }

    /// What happens if a setting differs.
    private struct Rule {
        var isDangerous: Bool
        var consequence: String
    }

    private static let rules: [String: Rule] = [
        "results": Rule(
            isDangerous: true,
            consequence:
                "steps whose workflow moves between the servers end unseen by the other one, which takes them for"
                + " lost"),
        "results_host": Rule(
            isDangerous: false,
            consequence:
                "unless these are names of one and the same host, steps whose workflow moves between the servers end"
                + " unseen by the other one"),
        "results_collection": Rule(
            isDangerous: true,
            consequence:
                "steps whose workflow moves between the servers end unseen by the other one, which takes them for"
                + " lost"),
        "bare_tasks": Rule(
            isDangerous: true,
            consequence:
                "tasks of the library get a private document from one server and none from the other, and may end"
                + " as KeyError after their work was done"),
        "library_tasks": Rule(
            isDangerous: false,
            consequence:
                "one server takes tasks for the library's that the other does not, and starts them in another way"),
        "no_inject": Rule(
            isDangerous: false,
            consequence: "tasks get workflow_id, step and app_id from one server and not from the other"),
        "default_queue": Rule(
            isDangerous: false,
            consequence:
                "steps that name no queue go to one or the other, whichever server sends them; one without workers"
                + " keeps them"),
        "projection": Rule(
            isDangerous: false,
            consequence:
                "readers of the library see the workflows of one server and not, or not as they are, the other's"),
        "lease": Rule(
            isDangerous: false,
            consequence: "what a server with the longer lease leaves behind when it dies is taken over later"),
        "worker_lost_after": Rule(
            isDangerous: false, consequence: "one server gives a silent worker up earlier than the other"),
        "worker_leaving": Rule(
            isDangerous: false, consequence: "one server waits longer for a worker that said goodbye than the other"),
        "ignore_workers": Rule(
            isDangerous: false, consequence: "one server waits for workers that the other does not count"),
    ]

    /// Where two servers differ, the dangerous ones first. A name that only one of them knows, as its version is another
    /// one, says nothing.
    public func differences(from others: SharedSettings) -> [SettingDifference] {
        var found: [SettingDifference] = []
        for (name, ours) in values {
            guard let theirs = others.values[name], theirs != ours else { continue }
            let rule = Self.rules[name] ?? Rule(isDangerous: false, consequence: "the servers do not do the same")
            found.append(
                SettingDifference(
                    name: name, theirs: theirs, ours: ours, isDangerous: rule.isDangerous,
                    consequence: rule.consequence))
        }
        return found.sorted { ($1.isDangerous ? 1 : 0, $0.name) < ($0.isDangerous ? 1 : 0, $1.name) }
    }
}
