import FlyingFox
import FlyingSocks
import Foundation
import RhythmServer
import RhythmWire

import struct Logging.Logger

/// Answers `GET /metrics` with what the server counts, for Prometheus, `GET /healthz` for whoever starts processes again
/// that hang, and `GET /readyz` for whoever spreads work: over HTTP on a port of its own, so that nothing that speaks HTTP
/// ever comes near the port of the calls. It answers from before the store is opened until the process ends.
///
/// It has no authentication; see ``Settings/metrics`` for where it may listen. A server that cannot listen there does not
/// start; one whose listening breaks later logs that, tries again, and serves calls as before.
struct MetricsEndpoint {
    private let endpoint: Endpoint
    private let server: Server
    private let logger: Logger

    init(_ endpoint: Endpoint, server: Server, logger: Logger) {
        self.endpoint = endpoint
        self.server = server
        self.logger = logger
    }

    /// Listens.
    ///
    /// - Returns: the task that serves, to be cancelled in the end, and where it really listens.
    func start() async throws -> (task: Task<Void, Never>, address: String) {
        let http = try await listener()
        let firstRun = Task { try await http.run() }
        do {
            try await http.waitUntilListening()
        } catch {
            firstRun.cancel()
            if case .failure(let error) = await firstRun.result { throw Self.unusable(endpoint, error) }
            throw Self.unusable(endpoint, error)
        }
        let address = await http.listeningAddress.map { Self.text($0) } ?? endpoint.description
        let task = Task { await serve(firstRun) }
        return (task, address)
    }

    /// Serves until it is cancelled.
    private func serve(_ firstRun: Task<Void, any Error>) async {
        var run = firstRun
        while true {
            let running = run
            let result = await withTaskCancellationHandler {
                await running.result
            } onCancel: {
                running.cancel()
            }
            if Task.isCancelled { return }
            if case .failure(let error) = result {
                logger.error("metrics: listening broke off: \(error); trying again")
            }
            do {
                try await Task.sleep(for: .seconds(1))
                let http = try await listener()
                run = Task { try await http.run() }
            } catch {
                return
            }
        }
    }

    private func listener() async throws -> HTTPServer {
        let http: HTTPServer
        guard case .tcp(var host, let port) = endpoint else { throw Self.unusable(endpoint, "it is no HOST:PORT") }
        if host == "localhost" { host = "127.0.0.1" }
        do {
            if host.contains(":") {
                http = HTTPServer(address: try .inet6(ip6: host, port: port), logger: .disabled)
            } else {
                http = HTTPServer(address: try .inet(ip4: host, port: port), logger: .disabled)
            }
        } catch {
            throw Self.unusable(endpoint, "give the address in numbers, such as 127.0.0.1")
        }
        let server = server
        await http.appendRoute("GET /metrics") { _ in
            HTTPResponse(
                statusCode: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: Data(await server.stats().prometheusText.utf8))
        }
        // Nothing is asked: that this is answered is the answer.
        await http.appendRoute("GET /healthz") { _ in Self.answer(.ok, "ok\n") }
        await http.appendRoute("GET /readyz") { request in
            let readiness = await server.readiness()
            let status: HTTPStatusCode = readiness.isReady ? .ok : .serviceUnavailable
            let wantsJSON = request.headers[HTTPHeader("Accept")]?.contains("application/json") ?? false
            return wantsJSON
                ? Self.answer(status, readiness.json, type: "application/json") : Self.answer(status, readiness.text)
        }
        return http
    }

    private static func answer(
        _ status: HTTPStatusCode, _ text: String, type: String = "text/plain; charset=utf-8"
    ) -> HTTPResponse {
        HTTPResponse(
            statusCode: status, headers: [.contentType: type, HTTPHeader("Cache-Control"): "no-store"],
            body: Data(text.utf8))
    }

    private static func unusable(_ endpoint: Endpoint, _ why: Any) -> SettingsError {
        SettingsError("metrics: cannot listen on \(endpoint): \(why)")
    }

    private static func text(_ address: Socket.Address) -> String {
        switch address {
        case .ip4(let host, let port): "\(host):\(port)"
        case .ip6(let host, let port): "[\(host)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
