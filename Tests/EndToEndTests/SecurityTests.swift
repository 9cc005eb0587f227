import Foundation
import Glibc
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// Tokens, certificates and users, with the programs as people run them.
@Suite(.showsServerLog, .timeLimit(.minutes(2))) struct SecurityTests {
    private func rhythm(
        _ arguments: [String], _ server: ServerProcess? = nil, token: String? = nil
    ) async throws -> CLIProgram.Outcome {
        var environment: [String: String] = [:]
        environment["RHYTHM_TOKEN"] = token
        return try await CLIProgram.rhythm(arguments, server: server?.endpoint, environment: environment)
    }

    private func token(_ file: String, _ name: String, _ role: String, apps: [String] = []) async throws -> String {
        let made = try await rhythm(
            ["token", "create", "--file", file, "--name", name, "--role", role] + apps.flatMap { ["--app-id", $0] })
        #expect(made.status == 0, "\(made)")
        let token = made.out.trimmingCharacters(in: .newlines)
        #expect(made.out == token + "\n" && token.hasPrefix("rhythm_"))
        #expect(!made.err.contains(token), "once is once")
        return token
    }

    /// Tells the server to read its files again, and waits until it has.
    private func reload(_ server: ServerProcess) async throws {
        func count() -> Int { server.logText.split(separator: "\n").count { $0.contains(" reloaded") } }
        let before = count()
        try #require(server.child).signal(SIGHUP)
        try await server.place.wait("no reload") { count() > before }
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test("a token from its making to its end")
    func tokens() async throws {
        try await TestPlace.with { place in
            let file = place.path + "/tokens"
            let reader = try await token(file, "reader", "read")
            let genomics = try await token(file, "genomics", "operate", apps: ["genomics", "imaging"])
            #expect(mode(file) == 0o600)
            let text = try #require(place.text(file))
            for secret in [reader, genomics] { #expect(!text.contains(secret.suffix(64))) }
            try place.write("kept")
            chmod(place.path + "/kept", 0o644)
            let shell = try Processes.Child(
                CLIProgram.path("rhythm"), ["token", "create", "--file", file, "--name", "kept", "--role", "read"],
                environment: [:], output: place.path + "/kept")
            #expect(try await shell.end(within: 20) == .exited(0))
            #expect(
                mode(place.path + "/kept") == 0o600 && place.text(place.path + "/kept")?.contains("rhythm_") == true)
            #expect(try await rhythm(["token", "revoke", "--file", file, "kept"]).status == 0)
            #expect(place.text(file) == text)
            let again = try await rhythm(["token", "create", "--file", file, "--name", "reader", "--role", "admin"])
            #expect(again.status == 5 && again.out == "" && place.text(file) == text)
            let list = try await rhythm(["token", "list", "--file", file])
            #expect(list.status == 0 && list.out.contains("genomics, imaging") && list.out.contains("all"))

            let server = ServerProcess(place, options: ["--tokens", file])
            try await server.start()
            try place.task("hello", "true")
            try place.write("own.yaml", "{name: n, app_id: genomics, steps: [{name: s, task: hello}]}")
            try place.write("foreign.yaml", "{name: n, app_id: other, steps: [{name: s, task: hello}]}")
            let refused = try await rhythm(["info"], server)
            #expect(refused.status == 5 && refused.err.contains("RHYTHM_TOKEN"), "\(refused)")
            #expect(try await rhythm(["info"], server, token: reader).out.contains("Refused  1 attempts"))
            try place.write("reader.token", reader + "\n")
            #expect(try await rhythm(["list", "--token-file", place.path + "/reader.token"], server).status == 0)
            let own = ["start", place.path + "/own.yaml", "--id", "w"]
            #expect(try await rhythm(own, server, token: reader).status == 5)
            #expect(try await rhythm(own + ["--watch"], server, token: genomics).status == 0)
            let foreign = try await rhythm(["start", place.path + "/foreign.yaml"], server, token: genomics)
            #expect(foreign.status == 5 && foreign.err.contains("'genomics', 'imaging', not for 'other'"), "\(foreign)")
            #expect(try await rhythm(["delete", "w"], server, token: genomics).status == 5)

            // Somebody is connected when the token is revoked.
            let client = try server.client {
                $0.token = genomics
                $0.patience = .zero
            }
            #expect(try await client.status("w").status == .success)
            #expect(try await rhythm(["token", "revoke", "--file", file, "genomics"]).status == 0)
            #expect(try await rhythm(["token", "revoke", "--file", file, "genomics"]).status == 4)
            #expect(mode(file) == 0o600)
            #expect(try await client.status("w").status == .success, "the server has not been told")
            try await reload(server)
            let error = await #expect(throws: RhythmError.self) { try await client.status("w") }
            #expect(error?.reason == "BAD_TOKEN")
            #expect(try await rhythm(["info"], server, token: reader).status == 0)

            // A mistake changes nothing, and is named with its line.
            try place.write("tokens", (place.text(file) ?? "") + "{\"name\": \"half\n")
            try await reload(server)
            #expect(server.logText.contains("\(file): line 2: not a JSON object"), "\(server.logText)")
            #expect(try await rhythm(["info"], server, token: reader).status == 0)
            #expect(try await rhythm(["info"], server).status == 5)

            try await server.stop()
            for secret in [reader, genomics] { #expect(!server.logText.contains(secret.suffix(64))) }
            #expect(server.logText.contains("authentication failed"))
        }
    }

    @Test("no token is in a list of processes, nor can be")
    func processList() async throws {
        try await TestPlace.with { place in
            let file = place.path + "/tokens"
            let secret = try await token(file, "reader", "read")
            let server = ServerProcess(place, options: ["--tokens", file])
            try await server.start()
            let watch = try Processes.Child(
                CLIProgram.path("rhythm"), ["watch"],
                environment: ["RHYTHM_TOKEN": secret, "RHYTHM_SERVER": try #require(server.endpoint)],
                output: place.path + "/watch.log")
            defer { watch.signal(SIGKILL) }
            let client = try server.client { $0.token = secret }
            while try await client.serverInfo().watches == 0 { try #require(watch.poll() == nil, "it ended") }
            for pid in [watch.pid, try #require(server.child?.pid)] {
                let line = Processes.commandLine(of: pid)
                #expect(!line.isEmpty && !line.contains("rhythm_") && !line.contains(secret.suffix(64)), "\(line)")
            }
            for option in ["--token", "--password"] {
                let refused = try await rhythm(["info", option, secret], server)
                #expect(refused.status == 2 && !refused.err.contains(secret), "\(refused)")
            }
        }
    }

    @Test("certificates of both sides, and new ones while people are connected")
    func certificates() async throws {
        try await TestPlace.with { place in
            let authority = try await TestCertificates(in: place.path)
            let identity = try await authority.issue("server", for: .server)
            let own = try await authority.issue("batch", for: .client)
            let server = ServerProcess(
                place,
                options: [
                    "--tls-cert", identity.certificate, "--tls-key", identity.key, "--tls-client-ca", authority.ca,
                ])
            try await server.start()
            let endpoint = try #require(server.endpoint)
            #expect(endpoint.hasPrefix("tls://127.0.0.1:"))
            let shown = ["--cert", own.certificate, "--key", own.key]
            #expect(try await rhythm(["info", "--ca", authority.ca] + shown, server).status == 0)
            let nothingShown = try await rhythm(["info", "--ca", authority.ca], server)
            #expect(nothingShown.status == 5 && nothingShown.err.contains("--cert"), "\(nothingShown)")
            let notTrusted = try await rhythm(["info"] + shown, server)
            #expect(notTrusted.status == 5 && notTrusted.err.contains("--ca"), "\(notTrusted)")
            let bare = String(endpoint.dropFirst("tls://".count))
            let plain = try await rhythm(["info", "--server", bare])
            #expect(plain.status == 3 && plain.err.contains("tls://"), "\(plain)")
            #expect(try await rhythm(["info", "--server", bare, "--ca", authority.ca] + shown).status == 0)

            let client = try server.client {
                $0.tls = TLSOptions(
                    caFile: authority.ca, certificateFile: own.certificate, keyFile: own.key)
            }
            let before = try await client.serverInfo()
            let next = try await TestCertificates(in: place.path, name: "next")
            let renewed = try await next.issue("renewed", for: .server)
            for (new, old) in [(renewed.certificate, identity.certificate), (renewed.key, identity.key)] {
                try Data(contentsOf: URL(filePath: new)).write(to: URL(filePath: old), options: .atomic)
            }
            try await reload(server)
            let after = try await client.serverInfo()
            #expect(after.epoch == before.epoch && after.connections == 1, "the connection goes on")
            #expect(try await rhythm(["info", "--ca", next.ca] + shown, server).status == 0)
            #expect(try await rhythm(["info", "--ca", authority.ca] + shown, server).status == 5)

            // What cannot be used changes nothing.
            try Data("no certificate\n".utf8).write(to: URL(filePath: identity.certificate))
            try await reload(server)
            #expect(server.logText.contains("cannot use the certificate \(identity.certificate)"), "\(server.logText)")
            #expect(try await rhythm(["info", "--ca", next.ca] + shown, server).status == 0)
            try await server.stop()
        }
    }

    @Test("where nobody would be asked, others cannot connect")
    func openDoors() async throws {
        try await TestPlace.with { place in
            let authority = try await TestCertificates(in: place.path)
            let identity = try await authority.issue("server", for: .server)
            let file = place.path + "/tokens"
            _ = try await token(file, "reader", "read")
            let tls = ["--tls-cert", identity.certificate, "--tls-key", identity.key]
            let base = ["--data", place.data, "--listen", "0.0.0.0:0"]
            for options in [[], tls] {
                let output = place.path + "/refusal.log"
                let child = try ServerProcess.run(place, base + options, output: output)
                #expect(try await child.end(within: 20) == .exited(2))
                #expect(place.text(output)?.contains("no authentication is configured") == true)
            }
            for options in [["--tokens", file], tls + ["--tokens", file], tls + ["--tls-client-ca", authority.ca]] {
                let server = ServerProcess(place, options: options + ["--listen", "0.0.0.0:0"])
                try await server.start()
                try await server.stop()
            }
            #expect(place.text(place.log)?.contains("tokens cross the network unencrypted on 0.0.0.0") == true)
        }
    }

    @Test("files that cannot be used end the start, and say why")
    func unusableFiles() async throws {
        try await TestPlace.with { place in
            let file = place.path + "/tokens"
            let base = ["--data", place.data, "--tasks", place.tasks, "--listen", "127.0.0.1:0", "--tokens", file]
            func refusal() async throws -> String {
                let output = place.path + "/refusal-\(UUID().uuidString.prefix(4)).log"
                let child = try ServerProcess.run(place, base, output: output)
                #expect(try await child.end(within: 20) == .exited(1))
                return place.text(output) ?? ""
            }
            #expect(try await refusal().contains("cannot read \(file)"))
            try place.write("tokens", "\n# none\n{\"name\": \"n\"}\n")
            #expect(try await refusal().contains("\(file): line 3: 'role'"))
            try place.write("tokens", "# none\n")
            chmod(file, 0o622)
            #expect(try await refusal().contains("chmod 600 \(file)"))
            #expect(!place.exists(place.data + "/rhythm.sqlite"), "nothing was touched")
        }
    }

    @Test("a unix socket for others, and not for oneself")
    func users() async throws {
        try await TestPlace.with { place in
            let socket = "unix:" + place.path + "/socket"
            let own = geteuid()
            let server = ServerProcess(
                place, options: ["--allow-uid", "\(own + 1)", "--listen", socket])
            try await server.start()
            #expect(mode(place.path + "/socket") == 0o666, "the kernel says who it is, not the mode of a file")
            let refused = try await rhythm(["info", "--server", socket])
            #expect(refused.status == 5 && refused.err.contains("uid \(own) may not use this socket"), "\(refused)")
            try await server.stop()
            let again = ServerProcess(
                place, options: ["--allow-uid", "\(own + 1)", "--allow-uid", "\(own)", "--listen", socket])
            try await again.start()
            #expect(try await rhythm(["info", "--server", socket]).status == 0)
            try await again.stop()
        }
    }
}
