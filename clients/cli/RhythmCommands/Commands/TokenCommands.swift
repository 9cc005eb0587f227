import ArgumentParser
import Glibc
import RhythmAuth
import RhythmCore

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make, list and revoke the tokens that a server knows.",
        discussion: """
            EXAMPLE:
              rhythm token create --file /etc/rhythm/tokens --name ci --role operate --app-id genomics
              rhythm token list --file /etc/rhythm/tokens
              rhythm token revoke --file /etc/rhythm/tokens ci

            The file is the one that rhythmd is given with --tokens. It holds salted hashes,
            never a token. These commands change the file and ask no server; a server that
            runs reads it again on SIGHUP.
            """,
        subcommands: [TokenCreateCommand.self, TokenListCommand.self, TokenRevokeCommand.self])
}

/// Which file is meant; part of every command about tokens.
struct TokensFileOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The tokens file. (default: RHYTHM_TOKENS)", valueName: "path"))
    var file: String?

    func editor() throws(CommandFailure) -> TokensFileEditor {
        guard let path = file ?? Terminal.environment("RHYTHM_TOKENS") else {
            throw CommandFailure(.usage, "no tokens file is named", advice: "Give --file PATH.")
        }
        return TokensFileEditor(path)
    }

    /// What to do after a change.
    static let reloadHint = "A server that runs has to be told: kill -HUP its process.\n"
}

struct TokenCreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a token and print it, once.",
        discussion: """
            EXAMPLE:
              rhythm token create --file tokens --name ci --role operate --app-id genomics > ci.token
              RHYTHM_TOKEN_FILE=ci.token rhythm list

            The token goes to standard output, and if that is a file only its owner can read it
            from then on; everything else goes to standard error. Nobody can show it again.

            ROLES:
              read     list, status, watch, logs, info, doctor
              operate  these, and start, pause, resume, cancel
              admin    these, and delete
            """)

    @OptionGroup var file: TokensFileOptions

    @Option(help: ArgumentHelp("What people call it; unique in the file.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("What it allows: read, operate or admin.", valueName: "role"))
    var role: RoleArgument

    @Option(
        name: .customLong("app-id"),
        help: ArgumentHelp(
            "Only workflows of this application; may be given several times. Default: all.", valueName: "app"))
    var appID: [String] = []

    @Option(
        help: ArgumentHelp(
            "Let in whoever has a TLS certificate with this subject (such as CN=batch,O=Example), instead of a token.",
            valueName: "subject"))
    var certificate: String?

    func validate() throws {
        guard !name.isEmpty, name.printable == name else { throw ValidationError("--name is empty, or not printable.") }
        guard !appID.contains("") else { throw ValidationError("--app-id is empty.") }
        guard Set(appID).count <= AccessEntry.appIDsMax else {
            throw ValidationError("At most \(AccessEntry.appIDsMax) applications.")
        }
        guard certificate != "" else { throw ValidationError("--certificate is empty.") }
    }

    func run() throws {
        let scope: AppScope = appID.isEmpty ? .all : .only(Set(appID))
        let (token, made) = AccessEntry.make(name: name, role: role.role, scope: scope, createdAt: Terminal.now())
        let entry = certificate.map { made.shown(by: $0) } ?? made
        try file.editor().edit { (lines, list) throws(CommandFailure) in
            guard !list.entries.contains(where: { $0.name == name }) else {
                throw CommandFailure(
                    .refused, "the file has a token with the name '\(name)' already",
                    advice: "Choose another name, or revoke that one first.")
            }
            lines.append(entry.line)
        }
        let terminal = Terminal.standard
        if certificate == nil {
            Self.keepToOwner()
            terminal.line(token.revealed)
            terminal.err("This is the only time that the token is shown. ")
        }
        terminal.err(TokensFileOptions.reloadHint)
    }

    /// A file that the shell made for standard output can be read by everybody, as most files can.
    private static func keepToOwner() {
        var status = stat()
        guard fstat(1, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
        fchmod(1, status.st_mode & 0o700)
    }
}

struct TokenListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show who is let in, and what he may do.",
        discussion: """
            EXAMPLE:
              rhythm token list --file /etc/rhythm/tokens
            """)

    @OptionGroup var file: TokensFileOptions

    @Flag(help: "Print JSON for programs.")
    var json = false

    func run() throws {
        let entries = try file.editor().read().list.entries
        let terminal = Terminal.standard
        if json { return terminal.line(JSONValue.array(entries.map(\.json)).prettyText) }
        guard !entries.isEmpty else { return terminal.line("No tokens.") }
        var table = Table(["NAME", "ROLE", "APPS", "ID", "CREATED"])
        for entry in entries {
            table.add([
                entry.name.printable, entry.role.rawValue, entry.apps?.joined(separator: ", ").printable ?? "all",
                entry.shownBy.printable, entry.createdAt?.iso8601 ?? "-",
            ])
        }
        terminal.out(table.render(style: terminal.style))
    }
}

struct TokenRevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Let a token's holder in no more.",
        discussion: """
            EXAMPLE:
              rhythm token revoke --file /etc/rhythm/tokens ci

            Once the server has read the file again, connections that were made with it are closed.
            """)

    @OptionGroup var file: TokensFileOptions

    @Argument(help: "Its name or its id.")
    var token: String

    func run() throws {
        try file.editor().edit { (lines, list) throws(CommandFailure) in
            let found = list.entries.filter { $0.name == token || $0.id == token }
            guard let entry = found.first, found.count == 1 else {
                throw CommandFailure(
                    .notFound, "the file has no token with the name or id '\(token)'",
                    advice: "'rhythm token list' shows those it has.")
            }
            lines.removeAll { AccessList.isEntry($0) && (try? AccessEntry(line: $0, number: 0)) == entry }
        }
        Terminal.standard.err(TokensFileOptions.reloadHint)
    }
}

/// A role on the command line.
struct RoleArgument: ExpressibleByArgument {
    let role: Role

    init?(argument: String) {
        guard let role = Role(rawValue: argument) else { return nil }
        self.role = role
    }
}

extension AccessEntry {
    /// The applications it is limited to; nil for all.
    fileprivate var apps: [String]? { if case .only(let appIDs) = scope { appIDs.sorted() } else { nil } }

    /// The id of a token, or the subject of a certificate.
    fileprivate var shownBy: String {
        switch proof {
        case .token(let id, _): id
        case .certificate(let subject): subject
        }
    }

    /// The id of a token.
    fileprivate var id: String? { if case .token(let id, _) = proof { id } else { nil } }

    /// The same for whoever has a certificate.
    fileprivate func shown(by subject: String) -> AccessEntry {
        AccessEntry(name: name, role: role, scope: scope, proof: .certificate(subject: subject), createdAt: createdAt)
    }

    /// Without hash and salt.
    fileprivate var json: JSONValue {
        var members: [JSONValue.Member] = [
            .init("name", .string(name)), .init("role", .string(role.rawValue)),
            .init("app_ids", apps.map { .array($0.map { .string($0) }) } ?? .null), .init("id", .optional(id)),
        ]
        if case .certificate(let subject) = proof { members.append(.init("certificate", .string(subject))) }
        members.append(.init("created_at", .optional(createdAt?.iso8601)))
        return .object(members)
    }
}
