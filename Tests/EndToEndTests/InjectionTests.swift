import Foundation
import RhythmClient
import RhythmCore
import RhythmTesting
import Testing

/// What tasks are given beside the arguments that somebody asked for, and what a last step may return: local tasks, seen
/// from outside.
@Suite(.showsServerLog, .timeLimit(.minutes(2))) struct InjectionTests {
    private static let show = """
        import json, os, sys
        call = json.load(sys.stdin)
        given = {"kwargs": call["kwargs"], "step": call["step"], "variable": os.environ["RHYTHM_STEP"]}
        os.write(int(os.environ["RHYTHM_REPORT_FD"]), json.dumps({"result": [given]}).encode() + b"\\n")
        """

    private func given(_ workflow: Workflow, _ step: Int) -> JSONValue? {
        workflow.steps[step].current?.result?.value.arrayValue?.first
    }

    @Test func tasksAreGivenWhatTheirStepsSay() async throws {
        try await ServerProcess.with(options: ["--no-inject", "modest*"]) { server in
            try server.place.task("show", Self.show, interpreter: "/usr/bin/python3")
            try server.place.task("modest.show", Self.show, interpreter: "/usr/bin/python3")
            try server.place.task("odd", #"echo '{"result": {"archived": 3}}' >&3"#)
            let own = try JSON(parsing: #"{"step": "mine", "x": 1}"#)
            let spec = WorkflowSpec(
                id: "given", name: "given", appID: "app", kwargs: own,
                steps: [
                    StepSpec(name: "none", task: "show", inject: []), StepSpec(name: "all", task: "show"),
                    StepSpec(name: "some", task: "show", kwargs: own, inject: [.workflowID, .appID]),
                    StepSpec(name: "server", task: "modest.show"), StepSpec(name: "last", task: "odd"),
                ])
            let client = try server.client()
            let id = try await client.start(spec).workflow.id
            let workflow = try await client.waitUntilDone(id)
            #expect(workflow.status == .success, "\(workflow)")
            #expect(given(workflow, 0)?["kwargs"] == own.value)
            let all = given(workflow, 1)?["kwargs"]
            #expect(all?["workflow_id"] == .string("given") && all?["step"] == .string("all"))
            #expect(all?["app_id"] == .string("app") && all?["x"] == nil)
            let some = given(workflow, 2)?["kwargs"]
            #expect(some?["step"] == .string("mine") && some?["workflow_id"] == .string("given"))
            #expect(given(workflow, 3)?["kwargs"] == .object([]))
            // What is beside the arguments is always there.
            for (index, step) in ["none", "all", "some", "server"].enumerated() {
                #expect(given(workflow, index)?["step"] == .string(step))
                #expect(given(workflow, index)?["variable"] == .string(step))
            }
            #expect(workflow.steps[4].current?.result?.value["archived"] == .integer(3))
        }
    }

    /// An argument that would be replaced without a word is refused, by clients and by the server.
    @Test func reservedArgumentsAreRefused() async throws {
        try await ServerProcess.with { server in
            let client = try server.client()
            let spec = WorkflowSpec(
                name: "n", appID: "a", kwargs: try JSON(parsing: #"{"step": 10}"#),
                steps: [StepSpec(name: "s", task: "t")])
            do throws(RhythmError) {
                _ = try await client.start(spec)
                Issue.record("it was taken")
            } catch {
                #expect(error.code == .invalidArgument && error.field == "kwargs.step" && error.reason == "RESERVED")
            }
            try server.place.write("flow.yaml", "name: w\nsteps:\n  - {name: s, task: t, kwargs: {workflow_id: x}}\n")
            let end = try await CLIProgram.rhythm(["start", server.place.path + "/flow.yaml"], server: server.endpoint)
            #expect(end.status == 2 && end.err.contains("steps[0].kwargs.workflow_id"), "\(end)")
        }
    }
}
