import Crypto
import Foundation
import NIOCore
import RelayCore
import Testing

@testable import SESTransport

@Suite struct PayloadTests {
    private func bytes(_ payload: SendEmailPayload) async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await piece in payload { all += piece.readableBytesView }
        return all
    }

    @Test(arguments: [
        0, 1, 2, 3, 4, SendEmailPayload.pieceSize - 1, SendEmailPayload.pieceSize, SendEmailPayload.pieceSize + 1,
        2 * SendEmailPayload.pieceSize, 2 * SendEmailPayload.pieceSize + 2,
    ])
    func isTheJSONOfTheBodyWhateverItsSize(_ size: Int) async throws {
        let body = MemoryBody(noise(size), mostAtATime: 100_000)
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        let payload = SendEmailPayload(envelope, configurationSet: nil, body: body)
        let all = try await bytes(payload)
        #expect(all.count == payload.length)
        let expected =
            #"{"Destination":{"ToAddresses":["ann@example.org"]},"Content":{"Raw":{"Data":""#
            + Data(body.bytes).base64EncodedString() + #""}}}"#
        #expect(all == Array(expected.utf8))

        let prepared = try await PreparedPayload(payload)
        #expect(prepared.length == all.count)
        #expect(prepared.hash == SigV4.hex(SHA256.hash(data: all)))
        let progress = UploadProgress()
        var sent: [UInt8] = []
        for try await piece in prepared.upload(progress) { sent += piece.readableBytesView }
        #expect(sent == all)
        #expect(progress.stage == .handedOver)
    }

    @Test func carriesTheEnvelope() async throws {
        let envelope = Envelope(
            reversePath: "bounces@example.com",
            recipients: [#""a \"b\\"@example.org"#, "\u{1}tab\t@example.org", "ü@x"])
        let payload = SendEmailPayload(envelope, configurationSet: "set-1", body: MemoryBody(Array("hi".utf8)))
        let object = try JSONSerialization.jsonObject(with: Data(try await bytes(payload))) as? [String: Any]
        let destination = object?["Destination"] as? [String: [String]]
        #expect(destination == ["ToAddresses": envelope.recipients])
        #expect(object?["FeedbackForwardingEmailAddress"] as? String == "bounces@example.com")
        #expect(object?["ConfigurationSetName"] as? String == "set-1")
        #expect(object?["FromEmailAddress"] == nil)
    }

    @Test func readsASmallBodyOnceAndALargeOneTwiceInPieces() async throws {
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        for (size, passes) in [(200_000, 1), (1_000_000, 2)] {
            let body = MemoryBody(noise(size))
            let prepared = try await PreparedPayload(SendEmailPayload(envelope, configurationSet: nil, body: body))
            for try await _ in prepared.upload(UploadProgress()) {}
            let reads = body.readsSoFar
            #expect(reads.allSatisfy { $0.count <= SendEmailPayload.pieceSize })
            #expect(reads.map(\.count).reduce(0, +) == passes * size)
        }
    }

    @Test func noticesABodyOfAnotherSize() async throws {
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        let short = SendEmailPayload(envelope, configurationSet: nil, body: MemoryBody([1, 2], claiming: 3))
        await #expect(throws: PayloadFault.wrongSize) { try await PreparedPayload(short) }
    }

    @Test func tellsProgress() async throws {
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        let body = MemoryBody(noise(1_000_000))
        let prepared = try await PreparedPayload(SendEmailPayload(envelope, configurationSet: nil, body: body))
        let progress = UploadProgress()
        #expect(progress.stage == .notBegun)
        var iterator = prepared.upload(progress).makeAsyncIterator()
        var left = prepared.length
        while let piece = try await iterator.next() {
            left -= piece.readableBytes
            #expect(progress.stage == (left > 0 ? .begun : .handedOver))
        }
    }
}
