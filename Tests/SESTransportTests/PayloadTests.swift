import AWSTestSupport
import AsyncHTTPClient
import Foundation
import Hashing
import NIOCore
import NIOPosix
import RelayCore
import Synchronization
import Testing

@testable import AWSClient
@testable import SESTransport

@Suite struct PayloadTests {
    private func bytes(_ payload: SendEmailPayload) async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await piece in payload { all += piece.readableBytesView }
        return all
    }

    /// The pieces that the connection gets, and the stage of the upload at each piece.
    private func sent(
        _ payload: PreparedPayload, _ progress: UploadProgress
    ) async throws -> [(bytes: [UInt8], stage: UploadProgress.Stage)] {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let pieces = Mutex<[(bytes: [UInt8], stage: UploadProgress.Stage)]>([])
        let writer = HTTPClient.Body.StreamWriter { data in
            if case .byteBuffer(let buffer) = data {
                pieces.withLock { $0.append((Array(buffer.readableBytesView), progress.stage)) }
            }
            return loop.makeSucceededVoidFuture()
        }
        let body = payload.upload(progress, on: loop)
        #expect(body.contentLength == Int64(payload.length))
        try await body.stream(writer).get()
        return pieces.withLock { $0 }
    }

    @Test(arguments: [
        0, 1, 2, 3, 4, SendEmailPayload.pieceSize - 1, SendEmailPayload.pieceSize, SendEmailPayload.pieceSize + 1,
        2 * SendEmailPayload.pieceSize, 2 * SendEmailPayload.pieceSize + 2,
    ])
    func isTheJSONOfTheBodyWhateverItsSize(_ size: Int) async throws {
        let body = MemoryBody(noise(size), mostAtATime: 100_000)
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        let payload = SendEmailPayload(
            envelope.recipients, feedback: envelope.reversePath, configurationSet: nil, body: body)
        let all = try await bytes(payload)
        #expect(all.count == payload.length)
        let expected =
            #"{"Destination":{"ToAddresses":["ann@example.org"]},"Content":{"Raw":{"Data":""#
            + Data(body.bytes).base64EncodedString() + #""}}}"#
        #expect(all == Array(expected.utf8))

        let prepared = try await PreparedPayload(payload)
        #expect(prepared.length == all.count)
        #expect(prepared.hash == SHA256.digest(of: all).hexadecimal)
        let progress = UploadProgress()
        #expect(try await sent(prepared, progress).flatMap(\.bytes) == all)
        #expect(progress.stage == .handedOver)
    }

    @Test func carriesTheEnvelope() async throws {
        let envelope = Envelope(
            reversePath: "bounces@example.com",
            recipients: [#""a \"b\\"@example.org"#, "\u{1}tab\t@example.org", "ü@x"])
        let payload = SendEmailPayload(
            envelope.recipients, feedback: envelope.reversePath, configurationSet: "set-1",
            body: MemoryBody(Array("hi".utf8)))
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
            let prepared = try await PreparedPayload(
                SendEmailPayload(envelope.recipients, feedback: envelope.reversePath, configurationSet: nil, body: body)
            )
            _ = try await sent(prepared, UploadProgress())
            let reads = body.readsSoFar
            #expect(reads.allSatisfy { $0.count <= SendEmailPayload.pieceSize })
            #expect(reads.map(\.count).reduce(0, +) == passes * size)
        }
    }

    @Test func bodyOfTheWrongSizeIsDetected() async throws {
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        let short = SendEmailPayload(
            envelope.recipients, feedback: envelope.reversePath, configurationSet: nil,
            body: MemoryBody([1, 2], claiming: 3))
        await #expect(throws: PayloadFault.wrongSize) { try await PreparedPayload(short) }
    }

    @Test func uploadProgressIsReported() async throws {
        let envelope = Envelope(reversePath: nil, recipients: ["ann@example.org"])
        let body = MemoryBody(noise(1_000_000))
        let prepared = try await PreparedPayload(
            SendEmailPayload(envelope.recipients, feedback: envelope.reversePath, configurationSet: nil, body: body))
        let progress = UploadProgress()
        #expect(progress.stage == .notBegun)
        var left = prepared.length
        for piece in try await sent(prepared, progress) {
            left -= piece.bytes.count
            #expect(piece.stage == (left > 0 ? .begun : .handedOver))
        }
        #expect(left == 0)
        #expect(progress.stage == .handedOver)
    }
}
