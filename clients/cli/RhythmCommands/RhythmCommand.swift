import ArgumentParser
import Foundation
import RhythmCore

/// The program `rhythm`.
package enum RhythmCommand {
    /// Runs the program with the arguments of the process, and ends it.
    package static func main() async {
        signal(SIGPIPE, SIG_DFL)
        let status = await run(Array(CommandLine.arguments.dropFirst()))
        exit(status.rawValue)
    }

    /// Runs a command.
    package static func run(_ arguments: [String]) async -> ExitStatus {
        do {
            var command = try Rhythm.parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return .done
        } catch {
            return report(error, arguments: arguments)
        }
    }

    /// The help of a command, or of the program, as it is printed.
    package static func help(of name: String? = nil, columns: Int = 100) -> String {
        var command: any ParsableCommand.Type = Rhythm.self
        for word in (name ?? "").split(separator: " ") {
            command = command.configuration.subcommands.first { $0._commandName == word } ?? command
        }
        guard command != Rhythm.self else { return Rhythm.helpMessage(columns: columns) + "\n" }
        return Rhythm.helpMessage(for: command, columns: columns) + "\n"
    }

    /// The names of all commands, those within others (`token create`) included.
    package static var commandNames: [String] {
        Rhythm.configuration.subcommands.flatMap { command in
            [command._commandName]
                + command.configuration.subcommands.map { command._commandName + " " + $0._commandName }
        }
    }

    private static func report(_ error: any Error, arguments: [String]) -> ExitStatus {
        let terminal = Terminal.standard
        switch error {
        case let failure as CommandFailure:
            terminal.err(failure.text)
            return failure.status
        case let error as RhythmError:
            let failure = CommandFailure(error)
            terminal.err(failure.text)
            return failure.status
        default: break
        }
        if Rhythm.exitCode(for: error) == .success {
            terminal.line(Rhythm.fullMessage(for: error, columns: terminal.size.columns))
            return .done
        }
        let message = Rhythm.message(for: error)
        let command = arguments.first { commandNames.contains($0) }
        let help = command.map { "rhythm \($0) --help" } ?? "rhythm --help"
        let failure = CommandFailure(.usage, message, advice: "See '\(help)'.")
        terminal.err(failure.text)
        return .usage
    }
}

/// The root of the commands.
struct Rhythm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rhythm",
        abstract: "Start, watch and control workflows.",
        discussion: """
            Wherever a command takes the id of a workflow, the beginning of it is enough
            as long as it is unambiguous.

            ENVIRONMENT:
              RHYTHM_SERVER      where the servers are, as --server
              RHYTHM_TOKEN       the token, if the server asks for one
              RHYTHM_TOKEN_FILE  a file that holds it, as --token-file
              RHYTHM_CA, RHYTHM_CERT, RHYTHM_KEY
                                 files for TLS, as --ca, --cert and --key
              NO_COLOR           no colours

            A flag wins over a variable. There is no flag for the token itself, because
            everybody on the machine can read the arguments of a process.

            \(ExitStatus.explanation)
            """,
        version: "rhythm 1.0.0",
        subcommands: [
            StartCommand.self, StatusCommand.self, WhyCommand.self, WatchCommand.self, ListCommand.self,
            LogsCommand.self,
            PauseCommand.self, ResumeCommand.self, CancelCommand.self, DeleteCommand.self, AdoptCommand.self,
            ValidateCommand.self,
            PingCommand.self, InfoCommand.self, DoctorCommand.self, ServerCommand.self, TokenCommand.self,
        ])
}
