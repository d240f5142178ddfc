extension Environment {
    /// The environment of a real peer: epoll, kernel randomness, UDP sockets, threads.
    ///
    /// `storage` is the data directory, opened by the caller because RocksDB lies above this module.
    package static func production(
        reactor: Reactor, storage: any StorageDevice, blocking: any BlockingPool,
        sink: any LogSink, minimumLevel: LogLevel = .info, metrics: MetricsRegistry
    ) -> Environment {
        let logger = Logger(part: "peer", minimumLevel: minimumLevel, sink: sink) {
            [reactor] in reactor.wallTime()
        }
        return Environment(
            executor: reactor, random: KernelRandom(),
            network: EpollDatagramNetwork(reactor: reactor, logger: logger), storage: storage,
            blocking: blocking, logger: logger, metrics: metrics)
    }
}
