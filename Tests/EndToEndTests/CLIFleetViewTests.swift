import RhythmCommands
import RhythmCore
import Testing

/// How several servers look on a terminal.
@Suite struct CLIFleetViewTests {
    private static let now = Timestamp(microseconds: 1_800_000_000_000_000)

    private let servers = [
        ServerEntry(
            id: "36b598c1-6a2e-4d0e-9a11-0c1d2e3f4a5b", isAnswering: true, addresses: ["10.0.0.1:7744"],
            version: "1.0.0", host: "flows1", startedAt: now + .seconds(-7380), silence: .milliseconds(900),
            lease: .seconds(15), followed: 12),
        ServerEntry(
            id: "a1b2c3d4-6a2e-4d0e-9a11-0c1d2e3f4a5b", addresses: ["10.0.0.2:7744"], version: "1.0.0",
            host: "flows2", startedAt: now + .seconds(-60), silence: .seconds(40), lease: .seconds(15), followed: 4,
            isDraining: true,
            differences: [
                SettingDifference(
                    name: "default_queue", theirs: "other\u{1B}[2J", ours: "celery", isDangerous: false,
                    consequence: "steps that name no queue go to one or the other")
            ]),
    ]

    @Test func theListOfServers() throws {
        let text = ServerListView(servers, now: Self.now, style: .plain).render()
        try expectSnapshot(text, "server-list")
        let table = text.split(separator: "\n").prefix(3)
        #expect(table.allSatisfy { $0.count <= 80 }, "it fits on a terminal of 80 columns")
        #expect(!text.contains("\u{1B}"))
    }

    @Test func whatIsOldIsSaid() throws {
        let view = StatusView(
            try CLISamples.running(), staleness: .seconds(75), now: CLISamples.now, style: .plain)
        #expect(view.render().contains("Old       the server cannot ask the store: this is what it knew 1m15s ago\n"))
    }

    /// One that has left has no lease any more.
    @Test(arguments: [true, false]) func aStatusTellsOfAFollowerThatIsGone(isGone: Bool) throws {
        let workflow = try CLISamples.running()
        let follower = Follower(serverID: "s-1", isGone: isGone)
        let text = StatusView(workflow, follower: follower, now: CLISamples.now, style: .plain).render()
        #expect(text.contains("Followed") == isGone, "\(text)")
    }

    @Test func whoFollowsAWorkflow() {
        var follower = Follower(
            serverID: "36b598c1-6a2e-4d0e-9a11-0c1d2e3f4a5b", addresses: ["10.0.0.1:7744"], silence: .seconds(2),
            lease: .seconds(15))
        #expect(FollowerView.line(follower) == "by server 36b598c1 at 10.0.0.1:7744")
        #expect(FollowerView.trouble(follower) == nil)
        follower.silence = .seconds(40)
        #expect(
            FollowerView.trouble(follower)
                == "It is followed by server 36b598c1 at 10.0.0.1:7744, not heard of for 40s; another one takes the"
                + " workflow over.")
        follower.lease = .seconds(60)
        #expect(
            FollowerView.trouble(follower)
                == "It is followed by server 36b598c1 at 10.0.0.1:7744, not heard of for 40s; after 1m00s another one"
                + " takes the workflow over.")
        follower.isAnswering = true
        #expect(FollowerView.trouble(follower) == nil)
        #expect(FollowerView.line(follower) == "by server 36b598c1 at 10.0.0.1:7744, which was asked")
        let gone = Follower(serverID: "s", isGone: true)
        #expect(
            FollowerView.trouble(gone)
                == "It is followed by server s, which has left; another one takes the workflow over.")
    }
}
