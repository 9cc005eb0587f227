import RhythmCore
import RhythmEngine
import Testing

@testable import RhythmPeers

@Suite struct PeerNewsTests {
    @Test func comesBackAsItWas() throws {
        var progress = Progress(
            ProgressReport(name: "copy \"é\"", done: 1, total: 3, units: "B", at: Timestamp(microseconds: 5)))
        _ = progress.update(
            ProgressReport(name: "copy \"é\"", done: 2, total: 3, units: "B", at: Timestamp(microseconds: 9_000_000)))
        let update = Publication.ProgressUpdate(
            workflowID: "w", step: "s", taskID: "t", version: 4, progress: progress)
        var news = PeerNews(
            server: "a", incarnation: "i", Publication(foreign: [], progress: [update], deleted: ["gone"]))
        news.foreign = [.init(id: "w", version: 5)]
        let read = try #require(PeerNews(Array(news.text.utf8)))
        #expect(read.server == "a" && read.incarnation == "i")
        #expect(read.foreign == news.foreign)
        #expect(read.deleted == ["gone"])
        #expect(read.progress.map(\.progress) == [progress])
        #expect(read.progress.map(\.version) == [4])
    }

    /// Older servers take it for news of nothing.
    @Test func somethingMayHaveBeenLost() throws {
        let news = try #require(PeerNews(Array(PeerNews.recheck(server: "a", incarnation: "i").text.utf8)))
        #expect(news.isRecheck && !news.isEmpty && news.publication.mayHaveMissed && news.publication.isNews)
        #expect(news.foreign.isEmpty && news.deleted.isEmpty && news.progress.isEmpty)
        let other = try #require(PeerNews(Array(#"{"server":"b","recheck":1}"#.utf8)))
        #expect(!other.isRecheck && other.isEmpty)
    }

    @Test(arguments: ["", "[]", "{", #"{"server":1}"#, "\u{FFFD}"])
    func whatIsNoNewsIsNone(_ text: String) {
        #expect(PeerNews(Array(text.utf8)) == nil)
    }

    @Test func oddEntriesAreLeftOut() throws {
        let text = #"{"server":"b","changed":[["x"],[1,2],["y",3]],"deleted":[7],"progress":[{}]}"#
        let news = try #require(PeerNews(Array(text.utf8)))
        #expect(news.foreign == [.init(id: "y", version: 3)])
        #expect(news.deleted.isEmpty && news.progress.isEmpty)
    }
}
