import Glibc
import Synchronization
import Testing

/// A real RabbitMQ broker of its own: on free ports, in a temporary folder, under a name that no other node has.
///
/// Starting one takes seconds, so a test module shares one (`static let`). It ends with the test process, however that
/// ends. Its functions are to be called by one test at a time; the rest from any thread.
package final class RabbitMQServer: Sendable {
    /// A certificate for the broker, in PEM files.
    package struct TLS: Sendable {
        package let authorities: String
        package let certificate: String
        package let key: String

        package init(authorities: String, certificate: String, key: String) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
        }
    }

    package let port: Int
    /// Where it speaks TLS, if it does.
    package let tlsPort: Int?
    package let folder: String
    private let node: String
    private let environment: [String: String]
    private let portMapper: Processes.Child
    private let broker = Mutex<Processes.Child?>(nil)
    private let processes: ProcessGuard

    private static let programs = "/usr/lib/rabbitmq/bin"

    /// For clients in any language.
    package var address: String { "amqp://guest:guest@127.0.0.1:\(port)//" }
    package var tlsAddress: String? { tlsPort.map { "amqps://guest:guest@localhost:\($0)//" } }

    /// Starts a broker and waits until it accepts connections.
    package init(tls: TLS? = nil) async throws {
        guard access(Self.programs + "/rabbitmq-server", X_OK) == 0 else {
            throw Processes.CannotStart(description: "no RabbitMQ in \(Self.programs): make deps")
        }
        processes = try ProcessGuard.shared.get()
        folder = try processes.makeFolder("rabbitmq")
        port = try freePort()
        tlsPort = tls == nil ? nil : try freePort()
        let mapperPort = try freePort()
        node = "rhythm-\(getpid())-\(port)@localhost"
        environment = Self.environment(
            folder: folder, node: node, port: port, distributionPort: try freePort(), mapperPort: mapperPort)
        try Self.configure(folder: folder, tls: tls, tlsPort: tlsPort)
        // Erlang's port mapper: one of our own in the foreground. Else the node would leave a shared one behind.
        portMapper = try Processes.Child(
            "/usr/bin/epmd", ["-port", String(mapperPort), "-address", "127.0.0.1"], environment: environment,
            output: folder + "/epmd.log")
        try processes.watch(portMapper)
        try await waitUntil("epmd does not listen", seconds: 20) { acceptsConnections(port: mapperPort) }
        try await start()
    }

    deinit {
        for child in [broker.withLock({ $0 }), portMapper].compactMap({ $0 }) {
            Glibc.kill(-child.pid, SIGKILL)
            processes.forget(child)
        }
    }

    /// Starts it again, with all that it had on disk.
    package func start() async throws {
        let child = try Processes.Child(
            Self.programs + "/rabbitmq-server", [], environment: environment, output: folder + "/output.log")
        try processes.watch(child)
        broker.withLock { $0 = child }
        let ports = [port, tlsPort].compactMap { $0 }
        // The suites of a module start theirs at once, beside their workers.
        try await waitUntil("RabbitMQ does not listen: \(log)", seconds: 150) {
            child.poll() != nil || ports.allSatisfy { acceptsConnections(port: $0) }
        }
        guard child.poll() == nil else { throw Processes.CannotStart(description: "RabbitMQ ended: \(log)") }
    }

    /// Ends it as its operator would; what is durable stays.
    package func stop() async throws { try await end(with: SIGTERM) }

    /// Ends it as a power cut would.
    package func kill() async throws { try await end(with: SIGKILL) }

    package func restart() async throws {
        try await stop()
        try await start()
    }

    /// Makes it keep still, with all its connections open, until ``resume()``.
    package func suspend() {
        broker.withLock { if let child = $0, child.poll() == nil { Processes.suspend(group: child.pid) } }
    }

    package func resume() { signal(SIGCONT) }

    /// Runs `rabbitmqctl` against it (some seconds) and returns what it printed.
    @discardableResult
    package func control(_ arguments: [String]) async throws -> String {
        let output = "\(folder)/control.log"
        unlink(output)
        let child = try Processes.Child(
            Self.programs + "/rabbitmqctl", ["-n", node, "--quiet"] + arguments, environment: environment,
            output: output)
        try processes.watch(child)
        defer { processes.forget(child) }
        guard case .exited(0)? = try await child.end(within: 60) else {
            child.signal(SIGKILL)
            throw Processes.CannotStart(description: "rabbitmqctl \(arguments): \(ProcessGuard.read(output))")
        }
        return ProcessGuard.read(output)
    }

    /// What the broker has printed so far: for failure messages.
    package var log: String { String(ProcessGuard.read(folder + "/output.log").suffix(3000)) }

    private func signal(_ number: Int32) {
        broker.withLock { if let child = $0, child.poll() == nil { Glibc.kill(-child.pid, number) } }
    }

    private func end(with number: Int32) async throws {
        guard let child = broker.withLock({ $0 }) else { return }
        child.signal(SIGCONT)
        if number == SIGKILL { signal(SIGKILL) } else { child.signal(number) }
        if try await child.end(within: 30) == nil {
            signal(SIGKILL)
            _ = try await child.end(within: 10)
        }
        Glibc.kill(-child.pid, SIGKILL)
        processes.forget(child)
        broker.withLock { $0 = nil }
    }
}

extension RabbitMQServer {
    private static func environment(
        folder: String, node: String, port: Int, distributionPort: Int, mapperPort: Int
    ) -> [String: String] {
        [
            "PATH": "/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
            // The cookie is made here.
            "HOME": folder, "RABBITMQ_HOME": folder,
            "RABBITMQ_NODENAME": node, "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": String(port),
            "RABBITMQ_DIST_PORT": String(distributionPort), "ERL_EPMD_PORT": String(mapperPort),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": folder + "/data", "RABBITMQ_LOG_BASE": folder + "/log", "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/plugins", "RABBITMQ_CONF_ENV_FILE": folder + "/environment",
            "RABBITMQ_CONFIG_FILE": folder + "/rabbitmq.conf", "RABBITMQ_PID_FILE": folder + "/pid",
            // The script becomes the server instead of waiting for it: signals reach the server itself.
            "RABBITMQ_ALLOW_INPUT": "1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +S 2:2 +sbwt none",
        ]
    }

    private static func configure(folder: String, tls: TLS?, tlsPort: Int?) throws {
        try ProcessGuard.write("[].\n", to: folder + "/plugins")
        try ProcessGuard.write("", to: folder + "/environment")
        var lines = [
            "vm_memory_high_watermark.absolute = 512MiB", "disk_free_limit.absolute = 10MB",
            "collect_statistics_interval = 60000", "log.console.level = warning",
        ]
        if let tls, let tlsPort {
            lines += [
                "listeners.ssl.1 = 127.0.0.1:\(tlsPort)", "ssl_options.cacertfile = \(tls.authorities)",
                "ssl_options.certfile = \(tls.certificate)", "ssl_options.keyfile = \(tls.key)",
                "ssl_options.verify = verify_none", "ssl_options.fail_if_no_peer_cert = false",
            ]
        }
        try ProcessGuard.write(lines.joined(separator: "\n") + "\n", to: folder + "/rabbitmq.conf")
    }
}
