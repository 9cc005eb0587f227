import RhythmCore
import Testing

@Suite struct SharedSettingsTests {
    private let settings = SharedSettings([
        "results": "mongodb://h/celery", "bare_tasks": "", "default_queue": "celery", "lease": "15 s",
    ])

    @Test func equalSettingsDoNotDiffer() {
        #expect(settings.differences(from: settings).isEmpty)
    }

    @Test func whatDiffersIsNamedTheDangerousFirst() {
        var other = settings
        other.values["default_queue"] = "other"
        other.values["results"] = "mongodb://h/elsewhere"
        other.values["bare_tasks"] = "*"
        let found = settings.differences(from: other)
        #expect(found.map(\.name) == ["bare_tasks", "results", "default_queue"])
        #expect(found.map(\.isDangerous) == [true, true, false])
        #expect(found[1].theirs == "mongodb://h/elsewhere" && found[1].ours == "mongodb://h/celery")
        #expect(found.allSatisfy { !$0.consequence.isEmpty })
    }

    /// Servers of another version know more or less.
    @Test func whatOnlyOneKnowsIsNoDifference() {
        var other = settings
        other.values["new_one"] = "1"
        other.values["lease"] = nil
        #expect(settings.differences(from: other).isEmpty)
        #expect(other.differences(from: settings).isEmpty)
        #expect(settings.differences(from: SharedSettings()).isEmpty)
    }

    @Test func settingsWithoutARuleAreToldTheSame() {
        let found = SharedSettings(["x": "1"]).differences(from: SharedSettings(["x": "2"]))
        #expect(found.map(\.name) == ["x"] && found.first?.isDangerous == false)
    }
}
