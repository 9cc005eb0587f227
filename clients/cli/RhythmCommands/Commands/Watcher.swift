import Dispatch
import Foundation
import RhythmClient
import RhythmCore

/// Shows a watch until it ends or somebody presses Ctrl-C.
actor Watcher {
    private let client: RhythmClient
    private let json: Bool
    /// How to go on watching.
    private let hint: String
    private let terminal = Terminal.standard
    private var board = WatchBoard()
    private var display: LiveDisplay?
    private var isDisconnected = false
    private var signals: [any DispatchSourceSignal] = []

    init(client: RhythmClient, json: Bool, hint: String) {
        self.client = client
        self.json = json
        self.hint = hint
    }

    /// - Throws: ``CommandFailure`` with status 1 if a workflow ended in FAILURE or REVOKED.
    func run(_ updates: WatchUpdates) async throws {
        if terminal.isInteractive, !json { display = LiveDisplay(terminal) }
        catchSignals()
        let ticker = Task { [weak self] in
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(500))
                await self?.redraw()
            }
        }
        defer {
            ticker.cancel()
            display?.finish()
        }
        for try await update in updates { show(update) }
        redraw()
        display?.finish()
        if let failure = WatchBoard.failure(board.failed) { throw failure }
    }

    private func show(_ update: WatchUpdate) {
        if case .interrupted(let error) = update {
            guard !isDisconnected else { return }
            isDisconnected = true
            return notice("\(error.message); trying to go on")
        }
        if case .limited(let most, let leftOut) = update, !json {
            return notice(
                leftOut == 0
                    ? "everything is shown again"
                    : "only \(most) workflows are shown, the most that one watch may follow here; at least \(leftOut) more"
                        + " come as others are done")
        }
        if isDisconnected {
            isDisconnected = false
            notice(client.endpoints.count > 1 ? "it goes on with \(client.endpoint)" : "the server is back")
        }
        let now = Terminal.now()
        let line = board.take(update, now: now, style: terminal.style)
        if json { return terminal.line(update.json.compactText) }
        guard display == nil else { return redraw(atMostEvery: .milliseconds(80)) }
        if let line { terminal.line(line) }
    }

    private func notice(_ text: String) {
        display?.erase()
        terminal.err("rhythm: \(text)\n")
        redraw()
    }

    private func redraw(atMostEvery interval: Duration = .zero) {
        guard display?.isDue(interval) == true else { return }
        let size = terminal.size
        display?.draw(
            board.lines(now: Terminal.now(), columns: size.columns, rows: size.rows - 1, style: terminal.style))
    }

    /// Ctrl-C leaves a clean terminal behind and says how to go on; the workflows are not touched.
    private func catchSignals() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            // Sendable, or it would count as part of the actor and trap on the signal queue.
            source.setEventHandler { @Sendable [weak self] in Task { await self?.interrupted() } }
            source.activate()
            signals.append(source)
        }
    }

    private func interrupted() {
        redraw()
        display?.finish()
        if !json { terminal.err("The workflows go on. Watch again with: \(hint)\n") }
        exit(ExitStatus.interrupted.rawValue)
    }
}

extension WatchBoard {
    /// How a watch ends whose workflows did not all succeed; nil if they did.
    static func failure(_ failed: [WorkflowSummary]) -> CommandFailure? {
        guard let first = failed.first else { return nil }
        let id = Phrases.short(first.id)
        let others = failed.count > 1 ? ", and \(failed.count - 1) more" : ""
        let again = first.isCancelled ? "" : "; run the step again with 'rhythm resume \(id)'"
        return CommandFailure(
            .workflowFailed, "\(first.name.printable) \(id) ended in \(first.status.rawValue)\(others)",
            advice: "See why with 'rhythm status \(id)'\(again).")
    }
}

/// Lines on a terminal that are drawn over themselves.
struct LiveDisplay {
    private let terminal: Terminal
    private let clock = ContinuousClock()
    private var drawn: [String] = []
    private var drawnAt: ContinuousClock.Instant?
    private var isFinished = false

    init(_ terminal: Terminal) {
        self.terminal = terminal
        terminal.out("\u{1B}[?25l")
    }

    /// Whether enough time has passed to draw again.
    func isDue(_ interval: Duration) -> Bool {
        guard !isFinished else { return false }
        return drawnAt.map { $0.duration(to: clock.now) >= interval } ?? true
    }

    mutating func draw(_ lines: [String]) {
        drawnAt = clock.now
        guard lines != drawn else { return }
        terminal.out(home + lines.map { "\($0)\u{1B}[K\n" }.joined() + "\u{1B}[J")
        drawn = lines
    }

    /// Takes the lines away, so that something else can be written.
    mutating func erase() {
        terminal.out(home + "\u{1B}[J")
        drawn = []
    }

    /// Leaves the lines as they are and the terminal as it was.
    mutating func finish() {
        guard !isFinished else { return }
        isFinished = true
        terminal.out("\u{1B}[?25h")
    }

    private var home: String { drawn.isEmpty ? "" : "\u{1B}[\(drawn.count)A\r" }
}
