import HTTPTypes
import NIOCore
import NIOHTTPTypes
import Synchronization

/// The places for connections to the telemetry listener. When all places are in use, the connection that has waited
/// longest for a request is closed. A client that connects and sends nothing must not keep a probe out.
final class ConnectionPlaces: Sendable {
    private struct Place {
        let channel: any Channel
        /// A number that grows with each change: the connection with the smallest number has waited longest. Nil while
        /// a request is being answered.
        var waitingSince: UInt64?
    }

    private struct State {
        var places: [ObjectIdentifier: Place] = [:]
        var changes: UInt64 = 0

        mutating func next() -> UInt64 {
            changes += 1
            return changes
        }
    }

    private let state = Mutex(State())
    private let maximum: Int

    init(_ maximum: Int) { self.maximum = maximum }

    /// Takes a place for a connection, which now waits for its first request.
    ///
    /// - Returns: whether the connection has a place. False when all other connections are busy with requests.
    func take(_ channel: any Channel) -> Bool {
        let (hasPlace, leaving) = state.withLock { state -> (Bool, (any Channel)?) in
            var leaving: (any Channel)?
            if state.places.count >= maximum {
                let idle = state.places.filter { $0.value.waitingSince != nil }
                guard let oldest = idle.min(by: { ($0.value.waitingSince ?? 0) < ($1.value.waitingSince ?? 0) }) else {
                    return (false, nil)
                }
                state.places[oldest.key] = nil
                leaving = oldest.value.channel
            }
            state.places[ObjectIdentifier(channel)] = Place(channel: channel, waitingSince: state.next())
            return (true, leaving)
        }
        leaving?.close(promise: nil)
        return hasPlace
    }

    func requestBegan(_ channel: any Channel) {
        state.withLock { $0.places[ObjectIdentifier(channel)]?.waitingSince = nil }
    }

    func requestEnded(_ channel: any Channel) {
        state.withLock { state in
            let now = state.next()
            state.places[ObjectIdentifier(channel)]?.waitingSince = now
        }
    }

    func leave(_ channel: any Channel) {
        state.withLock { $0.places[ObjectIdentifier(channel)] = nil }
    }
}

/// Enforces the timeouts of one connection. A head must come within ``firstHead``, however slowly its octets arrive.
/// The client must have read an answer within ``answer``. Between requests the connection may be idle for ``idle``, as
/// long as no other connection needs its place.
final class ConnectionTimes: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    static let firstHead = TimeAmount.seconds(5)
    static let answer = TimeAmount.seconds(30)
    static let idle = TimeAmount.seconds(60)

    private let places: ConnectionPlaces
    private var deadline: Scheduled<Void>?

    init(_ places: ConnectionPlaces) { self.places = places }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = unwrapInboundIn(data) {
            places.requestBegan(context.channel)
            close(context, in: ConnectionTimes.answer)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            places.requestEnded(context.channel)
            close(context, in: ConnectionTimes.idle)
        }
        context.write(data, promise: promise)
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard deadline == nil else { return }
        close(context, in: ConnectionTimes.firstHead)
        if !places.take(context.channel) { context.close(promise: nil) }
    }

    private func end(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        places.leave(context.channel)
    }

    private func close(_ context: ChannelHandlerContext, in time: TimeAmount) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time) { context.close(promise: nil) }
    }
}
