import FuzzSupport
import Listening
import NIOCore

extension Property {
    /// A PROXY header is the same however it arrives, what stands behind it is the client's to the last octet, and nobody waits for more
    /// than a header may have.
    public static let proxy = Property("proxy") { input in
        var first: Outcome?
        for chunks in chunkings(of: input) {
            let outcome = try Outcome(chunks, input)
            if let first {
                try require(
                    outcome == first, "\(shown(input)) in \(chunks.count) pieces: \(outcome), not \(first)")
            }
            first = outcome
        }
    }
}

/// What a connection's first octets come to.
private struct Outcome: Equatable {
    var reading = ProxyHeader.Reading.needsMore
    /// Behind the header.
    var rest: [UInt8] = []

    init(_ chunks: [ArraySlice<UInt8>], _ input: [UInt8]) throws {
        var bytes = ByteBuffer()
        for chunk in chunks {
            bytes.writeBytes(chunk)
            guard case .needsMore = reading else { continue }
            let before = bytes.readableBytes
            reading = ProxyHeader.next(from: &bytes)
            if case .header = reading {
                let taken = before - bytes.readableBytes
                let longest =
                    input.first == UInt8(ascii: "P") ? ProxyHeader.maximumLineLength : ProxyHeader.maximumLength
                try require((15...longest).contains(taken), "a header of \(taken) octets: \(shown(input))")
            } else {
                try require(bytes.readableBytes == before, "octets are gone without a header: \(shown(input))")
            }
            if case .needsMore = reading {
                let longest =
                    input.first == UInt8(ascii: "P") ? ProxyHeader.maximumLineLength : ProxyHeader.maximumLength
                try require(before < longest, "more is awaited behind \(before) octets: \(shown(input))")
            }
        }
        guard case .header = reading else { return }
        rest = Array(bytes.readableBytesView)
        try require(input.suffix(rest.count).elementsEqual(rest), "the client's octets are others: \(shown(input))")
    }
}
