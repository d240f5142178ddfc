/// Published vectors (cacophony and snow), and one for XXpsk0 from an independent engine that
/// reproduces them: no vector of that pattern is published.
struct NoiseVector {
    var name: String
    var prologue: String
    var psks: [String]
    var initiatorStatic: String?
    var initiatorEphemeral: String
    var responderStatic: String?
    var responderEphemeral: String
    var hash: String?
    /// Payload and message, in turn from the initiator.
    var messages: [(payload: String, message: String)]

    static let published: [NoiseVector] = [
        NoiseVector(
            name: "Noise_XX_25519_ChaChaPoly_SHA256",
            prologue: "4a6f686e2047616c74",
            psks: [],
            initiatorStatic:
                "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            initiatorEphemeral:
                "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            responderStatic:
                "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
            responderEphemeral:
                "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
            hash:
                "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
            messages: [
                (
                    "4c756477696720766f6e204d69736573",
                    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477"
                        + "696720766f6e204d69736573"
                ),
                (
                    "4d757272617920526f746862617264",
                    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f"
                        + "276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488"
                        + "ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c"
                        + "9326ad"
                ),
                (
                    "462e20412e20486179656b",
                    "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9"
                        + "df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49"
                        + "b25030"
                ),
                (
                    "4361726c204d656e676572",
                    "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"
                ),
                (
                    "4a65616e2d426170746973746520536179",
                    "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"
                ),
                (
                    "457567656e2042f6686d20766f6e2042617765726b",
                    "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae"
                        + "3f"
                ),
            ]),
        NoiseVector(
            name: "Noise_NNpsk0_25519_ChaChaPoly_SHA256",
            prologue: "4a6f686e2047616c74",
            psks: [
                "54686973206973206d7920417573747269616e20706572737065637469766521"
            ],
            initiatorStatic:
                nil,
            initiatorEphemeral:
                "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            responderStatic:
                nil,
            responderEphemeral:
                "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
            hash:
                "f4d03dc34495c95729ea6de9e1b59004b59733102488b3e24bc441e0be208eaf",
            messages: [
                (
                    "4c756477696720766f6e204d69736573",
                    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794479b962b8"
                        + "aff8485742ac32f905ba45369e2465fb59e138a93d67a0d1266b6a54"
                ),
                (
                    "4d757272617920526f746862617264",
                    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d6062704"
                        + "d5a9c422a8e834423f8c1feada7e8d0d910a1a2cd030fb584221e3"
                ),
                (
                    "462e20412e20486179656b",
                    "e632c3763d7669067383433197a3baddf146e9e70ad4b4e9e59e0f"
                ),
                (
                    "4361726c204d656e676572",
                    "64c6bee32ea91c8474bb4c21d7a700109ad45af77b29764ba5eb1e"
                ),
                (
                    "4a65616e2d426170746973746520536179",
                    "e2fa0bed0603b62d3ccac2ecabbf3fe33f3e86514909b323361626266cb2471cc8"
                ),
                (
                    "457567656e2042f6686d20766f6e2042617765726b",
                    "0c01dc9cec1fe4ddd692e8dd32188aa351088dc91183639a53b57aa4692b5ebdef8b8ca1"
                        + "11"
                ),
            ]),
        NoiseVector(
            name: "Noise_XXpsk3_25519_ChaChaPoly_SHA256",
            prologue: "4a6f686e2047616c74",
            psks: [
                "54686973206973206d7920417573747269616e20706572737065637469766521"
            ],
            initiatorStatic:
                "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            initiatorEphemeral:
                "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            responderStatic:
                "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
            responderEphemeral:
                "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
            hash:
                "a477edf6a131bbdb54707f6ea30eab6cd935d9b560f0e5fd1f053a95a99669fb",
            messages: [
                (
                    "4c756477696720766f6e204d69736573",
                    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944c9f5ff0e"
                        + "8079630cb7e270c20bbf480821b77a384a645c71a2fd9b3db1c16a5f"
                ),
                (
                    "4d757272617920526f746862617264",
                    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843b123def1"
                        + "7f71e6ae8e57e0e1dec5949c5f7415c6f33517398747d821a06dc23ad430aa1fd7381d46"
                        + "195c378a819fd574425462cbb2d4ca339e738a0b7001dc91423fbf55a99af0c6f1df2101"
                        + "2ceb2f"
                ),
                (
                    "462e20412e20486179656b",
                    "52187316111b118d4c060364f7b975dc0809b2590779aff2d63113c564f11744493384db"
                        + "7bf32d5ae6686df6ab06d508d2e07caaf1d6afc010b978735fc78900e71ae1d314130d04"
                        + "2e729a"
                ),
                (
                    "4361726c204d656e676572",
                    "eaedc672d4c21e0e2955758756fb98f194c4e90d5deb5b6cf30b27"
                ),
                (
                    "4a65616e2d426170746973746520536179",
                    "522d543c5fe799d09a3d9da7ff54d0dc03c8af1dc7751d2ff708339d2290943e98"
                ),
                (
                    "457567656e2042f6686d20766f6e2042617765726b",
                    "7d4e2c3873eef6a213b04e72f9df60a91666072d3544c5d96c34a09e2329b5030bee7967"
                        + "41"
                ),
            ]),
        NoiseVector(
            name: "Noise_XXpsk0+psk3_25519_ChaChaPoly_SHA256",
            prologue: "5468657265206973206e6f20726967687420616e642077726f6e672e2054686572652773"
                + "206f6e6c792066756e20616e6420626f72696e672e",
            psks: [
                "3829658d61de7c60129328910df4e4cdee261f7b9cb1aa2a326bd50dead817df",
                "3b9b4c7f360b3dbea6511b2287dfe76180049f5127c27fb3376ae514732ce40f",
            ],
            initiatorStatic:
                "e9c2c125ba62723d19c2a666ca87e4aea7997e7086d724715e647cbb7e3dced9",
            initiatorEphemeral:
                "0b8e02c4bdd7a4f00d5cec49d2418aa4c50fce820d851039a18f5d603c2c38b9",
            responderStatic:
                "a56eff6ea4b13103cbff6f68e18d23c15476259b8eaf3a7636f64c08f431969f",
            responderEphemeral:
                "e09e1b02aa28340c45132a19675a7386f24dfe3700905bdb67b1554486661c44",
            hash:
                nil,
            messages: [
                (
                    "151cb17403c63f2a7c4be662f989854aaf727c61222c78a6eda9b1cd9a4ef884",
                    "e29aafc005c2d034941ecc120973bdc81778728c10d6bbea5df041e2b2ed79073a1bc0b8"
                        + "a4cbac3893b9621f2376ebc78eef4286ec65239ec4329d07639ca6cda0f1072dc24f0c6e"
                        + "fe905e8d3a261d94"
                ),
                (
                    "20513d30ac69774a37b8dd80a145d179eca53ec26ddd26193acfc7857bc42244",
                    "9f6c1d9af2b8d64e8338ad1692972ac72fbd2172e41c2c226986e9e25cfa86201701845f"
                        + "5357d91e3ef9cb17dd3d18b95394375f2a099d7013c269bb10b813103bbf5f3a52a4422d"
                        + "4e48be3cf6d9aa07fa2066438390f994a71d646133cfb034fcfe9220b80f52ba771850ad"
                        + "23c938fcf10f11a15c5b81ccf6b2941b20c53907"
                ),
                (
                    "6a71df147bbab68e95003fb62d8065bb57f3c7266310b0644f00f3fd52790815",
                    "337634cb103903adcb05a30c70f37a1dd1a7bd2b31ba35c1607fd915075f13b50d95d834"
                        + "bc82c211f871af87426ac1e05865b6bdd1e31363b6bc51e5c9164ec2116c77b5117e7b66"
                        + "2f8a52aaed936d3b7146399ec385d873f0ce4bc4887ebe6b"
                ),
                (
                    "639f40d22a8e4f00ba46cef25a28bc7fe6143cd89473f0c920e0af9bea202a39",
                    "249a5f6477c311ca2645ba0c8a5a51232dabf86226cda8d2536407022129718fa4641012"
                        + "f83394f9375a070574e2a2e0"
                ),
                (
                    "8641662e37ba2b7dfb3ba24fb1620b70a9e7118efa41b5fefd74f82d217f6b83",
                    "e6a34abea461f8bbce42f1f4be7d46661bd1d846a0c588dac03cc29f133955d91286b431"
                        + "32458484412663ebb127107e"
                ),
            ]),
    ]

    static let xxpsk0 =
        NoiseVector(
            name: "Noise_XXpsk0_25519_ChaChaPoly_SHA256",
            prologue: "637978",
            psks: [
                "54686973206973206d7920417573747269616e20706572737065637469766521"
            ],
            initiatorStatic:
                "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
            initiatorEphemeral:
                "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
            responderStatic:
                "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
            responderEphemeral:
                "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
            hash:
                "b9bcb3901e0fc9c77a14e32e97b7bd643393ec594b0843b9ac447ff8a4eb8a12",
            messages: [
                (
                    "6f6e65",
                    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794467fe56cd"
                        + "f224017bdcb4b279aa94d0957db151"
                ),
                (
                    "74776f",
                    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884309813c92"
                        + "9a2ee793a6909502f23492a90b088e4acc71ae6ca49464e67d97fdf4d1b61575074dcf03"
                        + "7ee6ba667daa2bff491ec1152bbd2de05e76bf2db2d8abd24cd4cd"
                ),
                (
                    "7468726565",
                    "591674f2df5cc5e0a9b3ddea86bafb1219b36345c12aa4bd0526a9f727fe2e2a05c857ba"
                        + "ebb4363f041232c7ebe717c9b878acb40ae392ba17fe5ebc3bf57ed2e39d7e380d"
                ),
            ])
}
