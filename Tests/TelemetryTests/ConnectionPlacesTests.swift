import NIOCore
import NIOEmbedded
import Testing

@testable import Telemetry

@Suite struct ConnectionPlacesTests {
    private let channels: [EmbeddedChannel]

    init() throws {
        channels = try (0..<4).map { _ in
            let channel = EmbeddedChannel()
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            return channel
        }
    }

    private var open: [Bool] { channels.map(\.isActive) }

    @Test func longestIdleConnectionIsClosedToMakeRoom() {
        let places = ConnectionPlaces(2)
        #expect(places.take(channels[0]) && places.take(channels[1]))
        // The first connection has made a request since then, so the second one has waited longer.
        places.requestBegan(channels[0])
        places.requestEnded(channels[0])
        #expect(places.take(channels[2]))
        #expect(open == [true, false, true, true])
        #expect(places.take(channels[3]))
        #expect(open == [false, false, true, true])
    }

    @Test func connectionBeingAnsweredIsNotClosed() {
        let places = ConnectionPlaces(2)
        for channel in channels[..<2] {
            #expect(places.take(channel))
            places.requestBegan(channel)
        }
        #expect(!places.take(channels[2]))
        #expect(open == [true, true, true, true])
        places.requestEnded(channels[0])
        #expect(places.take(channels[2]))
        #expect(open == [false, true, true, true])
    }

    @Test func releasedPlaceCanBeTakenAgain() {
        let places = ConnectionPlaces(1)
        #expect(places.take(channels[0]))
        places.leave(channels[0])
        #expect(places.take(channels[1]))
        #expect(open == [true, true, true, true])
    }
}
