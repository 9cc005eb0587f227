import Foundation
import RhythmCore
import RhythmTesting
import Testing

/// One of two servers loses its database, its broker, or its time, while people go on to command: nothing runs twice,
/// nothing that was acknowledged is lost, and in the end both tell the same. A judge says so from what tasks and people
/// wrote down.
///
/// `RHYTHM_CHAOS_PARTITION` gives the seconds that a fault lasts, with the lease that servers have by themselves, and
/// every fault is tried; else those that differ most.
@Suite(.showsServerLog, .serialized, .timeLimit(.minutes(10))) struct FleetFaultTests {
    enum Trouble: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case databaseCut = "its database is out of reach"
        case databaseSilent = "its database does not answer"
        case databaseHalfOpen = "its connections to the database are dead and do not say so"
        case brokerCut = "its broker is out of reach"
        case brokerSilent = "its broker does not answer"
        case brokerHalfOpen = "its connections to the broker are dead and do not say so"
        case frozen = "it stands still"

        var testDescription: String { rawValue }

        var link: (isDatabase: Bool, fault: LinkProxy.Fault)? {
            switch self {
            case .databaseCut: (true, .cut)
            case .databaseSilent: (true, .silent)
            case .databaseHalfOpen: (true, .halfOpen)
            case .brokerCut: (false, .cut)
            case .brokerSilent: (false, .silent)
            case .brokerHalfOpen: (false, .halfOpen)
            case .frozen: nil
            }
        }
    }

    private static let longer =
        ProcessInfo.processInfo.environment["RHYTHM_CHAOS_PARTITION"].flatMap { Double($0) }
    private static let tried =
        longer == nil ? [.databaseCut, .databaseHalfOpen, .brokerSilent, .frozen] : Trouble.allCases

    @Test("one of two servers fails:", arguments: tried)
    func fails(_ trouble: Trouble) async throws {
        let world = try await FleetWorld.shared
        let database = try LinkProxy(to: world.databasePort)
        let broker = try LinkProxy(to: world.brokerPort)
        defer {
            database.stop()
            broker.stop()
        }
        let name = "fault\(UInt32.random(in: 0 ... .max))"
        var environment = world.environment(database: name)
        if Self.longer == nil { environment["RHYTHM_LEASE"] = "2" }
        var failing = world.environment(database: name, databasePort: database.port, brokerPort: broker.port)
        failing["RHYTHM_RESULTS"] = "mongodb://127.0.0.1:\(database.port)/celery"
        failing["RHYTHM_LEASE"] = environment["RHYTHM_LEASE"]
        try await ServerProcess.with(environment: failing) { first in
            try await ServerProcess.with(environment: environment) { second in
                let people = FleetPeople(name, world, try [first.client(), second.client()])
                for workflow in 0..<6 {
                    try await people.start(workflow, steps: 3, seconds: 1, on: workflow % 3 == 2 ? 1 : 0)
                }
                try await people.waitUntilOne("begins")

                people.clerk.book.note(trouble == .frozen ? .serverStopped : .linkCut, name)
                let link = trouble.link.map { $0.isDatabase ? database : broker }
                if let link, let fault = trouble.link?.fault { link.fail(fault) } else { first.child?.signal(SIGSTOP) }
                let healsAt = ContinuousClock.now + .seconds(Self.longer ?? 8)
                try await people.act()
                try await Task.sleep(until: healsAt, clock: .continuous)
                if let link { link.heal() } else { first.child?.signal(SIGCONT) }
                people.clerk.book.healed(trouble == .frozen ? .serverStopped : .linkCut, name)

                try await people.expectTheEnd()
            }
        }
    }
}
