import Foundation
import RhythmCommands
import RhythmCore
import Testing

@Suite struct CLIExitStatusTests {
    @Test(
        arguments: [
            ([], 0, "USAGE: rhythm"), (["--help"], 0, "EXIT STATUS"), (["help", "start"], 0, "EXAMPLE"),
            (["--version"], 0, "rhythm"), (["validate", "-"], 0, "is valid"),
        ] as [([String], Int32, String)])
    func goodUse(_ arguments: [String], _ status: Int32, _ words: String) async throws {
        let outcome = try await CLIProgram.rhythm(arguments, input: "{name: w, steps: [{name: s, task: t}]}")
        #expect(outcome.status == status)
        #expect(outcome.out.contains(words), "\(outcome)")
        #expect(outcome.err == "")
    }

    @Test(arguments: [
        ["nonsense"], ["start"], ["start", "/nowhere/file.yaml"], ["status"], ["list", "--limit", "0"],
        ["list", "--status", "BROKEN"], ["list", "--since", "soon"], ["start", "-", "a", "--args", "[]"],
        ["start", "-", "--args", "{"], ["watch", "x", "--name", "y"], ["ping", "-n", "0"],
        ["info", "--server", "nowhere"],
        ["validate", "-"], ["start", "-", "--label", "nokey"], ["info", "--timeout", "never"],
    ])
    func wrongUse(_ arguments: [String]) async throws {
        let outcome = try await CLIProgram.rhythm(arguments, server: "127.0.0.1:1", input: "name: w\nsteps: []\n")
        #expect(outcome.status == 2, "\(outcome)")
        #expect(outcome.out == "")
        expectTwoLines(outcome.err)
    }

    @Test(arguments: [["info"], ["ping"], ["status", "x"], ["list"], ["watch"], ["pause", "x"], ["start", "-"]])
    func nobodyThere(_ arguments: [String]) async throws {
        let outcome = try await CLIProgram.rhythm(
            arguments, server: "127.0.0.1:1", input: "{name: w, steps: [{name: s, task: t}]}")
        #expect(outcome.status == 3, "\(outcome)")
        #expect(outcome.err.contains("127.0.0.1:1"))
        expectTwoLines(outcome.err)
    }

    @Test func theOptionWinsOverTheEnvironment() async throws {
        let outcome = try await CLIProgram.rhythm(["info", "--server", "127.0.0.1:2"], server: "127.0.0.1:1")
        #expect(outcome.err.contains("127.0.0.1:2"))
    }

    /// Every code has a status; a new code has to be thought about.
    @Test(arguments: RhythmError.Code.allCases) func everyErrorHasAStatus(_ code: RhythmError.Code) {
        let expected: RhythmCommands.ExitStatus =
            switch code {
            case .invalidArgument, .outOfRange: .usage
            case .unavailable: .unreachable
            case .notFound: .notFound
            case .alreadyExists, .failedPrecondition, .permissionDenied, .unauthenticated, .aborted: .refused
            default: .other
            }
        #expect(RhythmCommands.ExitStatus(RhythmError(code, reason: "X", "x")) == expected)
    }

    /// Whoever thinks that nothing has happened does it twice.
    @Test(arguments: [
        (RhythmError.Code.unavailable, "UNREACHABLE"), (.unavailable, "STORE_UNAVAILABLE"),
        (.unauthenticated, "CERTIFICATE"), (.permissionDenied, "ROLE"), (.failedPrecondition, "OTHER_STORE"),
    ])
    func whatMayHaveHappenedIsSaidFirst(_ code: RhythmError.Code, _ reason: String) {
        let advice = CommandFailure(RhythmError(code, reason: reason, "x", effect: .unknown)).advice
        #expect(advice.hasPrefix("It may or may not have happened"), "\(advice)")
        #expect(!CommandFailure(RhythmError(code, reason: reason, "x")).advice.contains("may not"))
    }

    private func expectTwoLines(_ text: String) {
        let lines = text.split(separator: "\n")
        #expect(lines.first?.hasPrefix("rhythm: ") == true, "\(text)")
        #expect(lines.last?.hasPrefix("        ") == true, "the last line says what to do: \(text)")
    }
}
