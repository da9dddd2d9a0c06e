"""JAX's side of the workloads in crates/jaxnet-examples/src/workloads."""

import jax
import jax.numpy as jnp

from protocol import serve


glorot = jax.nn.initializers.glorot_normal()


def dense_params(key, *sizes):
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"kernel": glorot(key, (n, m)), "bias": jnp.zeros(m)}
        for key, n, m in zip(keys, sizes[:-1], sizes[1:])
    ]


def dense(params, x):
    """Layers with relu in between."""
    for i, layer in enumerate(params):
        x = x @ layer["kernel"] + layer["bias"]
        if i + 1 < len(params):
            x = jax.nn.relu(x)
    return x


def cross_entropy(logits, labels):
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probs, labels[:, None], axis=-1).mean()


def momentum(rate):
    def init(params):
        return params, jax.tree.map(jnp.zeros_like, params)

    def update(state, grads):
        params, velocity = state
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        return jax.tree.map(lambda p, v: p - rate * v, params, velocity), velocity

    return init, update


def adam(rate):
    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return params, zeros, zeros, jnp.zeros((), jnp.int32)

    def update(state, grads):
        params, m, v, step = state
        step = step + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        first, second = 1 - 0.9**step, 1 - 0.999**step
        params = jax.tree.map(
            lambda p, m, v: p - rate * (m / first) / (jnp.sqrt(v / second) + 1e-8), params, m, v
        )
        return params, m, v, step

    return init, update


def training(loss, optimizer, params, *batch):
    """One step: gradient and update in one compiled function, the state donated."""
    init, update = optimizer

    @jax.jit(donate_argnums=0)
    def advance(state, *batch):
        value, grads = jax.value_and_grad(loss)(state[0], *batch)
        return update(state, grads), value

    # A state of its own: what is donated must not be there twice.
    state = jax.tree.map(lambda x: x.copy(), init(params))

    def step():
        nonlocal state
        state, value = advance(state, *batch)
        jax.block_until_ready((state, value))

    return step


def mlp():
    init, images, labels = jax.random.split(jax.random.key(0), 3)
    return training(
        lambda params, x, y: cross_entropy(dense(params, x), y),
        momentum(0.01),
        dense_params(init, 784, 1024, 1024, 10),
        jax.random.uniform(images, (128, 784)),
        jax.random.randint(labels, (128,), 0, 10),
    )


def mlp_loop():
    init, images, labels = jax.random.split(jax.random.key(0), 3)
    images = jax.random.uniform(images, (62, 128, 784))
    labels = jax.random.randint(labels, (62, 128), 0, 10)
    init_state, update = momentum(0.01)

    def advance(state, batch):
        x, y = batch
        value, grads = jax.value_and_grad(lambda params: cross_entropy(dense(params, x), y))(state[0])
        return update(state, grads), value

    @jax.jit(donate_argnums=0)
    def epoch(state, images, labels):
        return jax.lax.scan(advance, state, (images, labels))

    state = jax.tree.map(lambda x: x.copy(), init_state(dense_params(init, 784, 1024, 1024, 10)))

    def step():
        nonlocal state
        state, losses = epoch(state, images, labels)
        jax.block_until_ready((state, losses))

    return step


def rms_prop(rate):
    def init(params):
        return params, jax.tree.map(jnp.zeros_like, params)

    def update(state, grads):
        params, square = state
        square = jax.tree.map(lambda s, g: 0.9 * s + 0.1 * g * g, square, grads)
        step = lambda p, g, s: p - rate * g / (jnp.sqrt(s) + 1e-8)
        return jax.tree.map(step, params, grads, square), square

    return init, update


def vae():
    a, b, c, d, images, noise = jax.random.split(jax.random.key(0), 6)
    params = {
        "trunk": dense_params(a, 784, 512, 512),
        "mean": dense_params(b, 512, 10),
        "variance": dense_params(c, 512, 10),
        "decoder": dense_params(d, 10, 512, 512, 784),
    }
    images = jax.random.bernoulli(images, 0.3, (32, 784))

    def loss(params, images, noise, step):
        hidden = jax.nn.relu(dense(params["trunk"], images.astype(jnp.float32)))
        mean = dense(params["mean"], hidden)
        variance = jax.nn.softplus(dense(params["variance"], hidden))
        key = jax.random.fold_in(noise, step)
        latent = mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape)
        logits = dense(params["decoder"], latent)
        reconstruction = jax.nn.softplus(jnp.where(images, -1.0, 1.0) * logits).sum()
        divergence = -0.5 * (1 + jnp.log(variance) - mean**2 - variance).sum()
        return (reconstruction + divergence) / len(images)

    init, update = momentum(1e-3)

    @jax.jit(donate_argnums=0)
    def advance(state, images, noise):
        state, step = state
        value, grads = jax.value_and_grad(loss)(state[0], images, noise, step)
        return (update(state, grads), step + 1), value

    state = (jax.tree.map(lambda x: x.copy(), init(params)), jnp.zeros((), jnp.int32))

    def step():
        nonlocal state
        state, value = advance(state, images, noise)
        jax.block_until_ready((state, value))

    return step


def convnet():
    a, b, c, images, labels = jax.random.split(jax.random.key(0), 5)
    params = {
        "conv": [
            {"kernel": glorot(a, (3, 3, 1, 32)), "bias": jnp.zeros(32)},
            {"kernel": glorot(b, (3, 3, 32, 64)), "bias": jnp.zeros(64)},
        ],
        "dense": dense_params(c, 12 * 12 * 64, 128, 10),
    }

    def loss(params, x, y):
        for layer in params["conv"]:
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + layer["bias"])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return cross_entropy(dense(params["dense"], x.reshape(len(x), -1)), y)

    return training(
        loss,
        adam(1e-3),
        params,
        jax.random.uniform(images, (128, 28, 28, 1)),
        jax.random.randint(labels, (128,), 0, 10),
    )


def gru():
    keys = jax.random.split(jax.random.key(0), 9)
    sizes = [128, 200, 200, 200]
    params = {
        "layers": [
            {
                "input": glorot(keys[2 * i], (sizes[i], 600)),
                "recurrent": glorot(keys[2 * i + 1], (200, 600)),
                "bias": jnp.zeros(600),
                "recurrent_bias": jnp.zeros(200),
            }
            for i in range(3)
        ],
        "dense": dense_params(keys[6], 200, 26),
    }

    def layer(params, x):
        """Over (batch, places, channels), as PyTorch's and Flax's."""

        def cell(carry, x):
            r, z, n = jnp.split(x @ params["input"] + params["bias"], 3, -1)
            of_r, of_z, of_n = jnp.split(carry @ params["recurrent"], 3, -1)
            reset, update = jax.nn.sigmoid(r + of_r), jax.nn.sigmoid(z + of_z)
            new = jnp.tanh(n + reset * (of_n + params["recurrent_bias"]))
            carry = (1 - update) * new + update * carry
            return carry, carry

        return jax.lax.scan(cell, jnp.zeros((len(x), 200)), x.swapaxes(0, 1))[1].swapaxes(0, 1)

    def loss(params, x, y):
        for of_layer in params["layers"]:
            x = layer(of_layer, x)
        return cross_entropy(dense(params["dense"], x.reshape(-1, 200)), y.reshape(-1))

    return training(
        loss,
        rms_prop(1e-3),
        params,
        jax.random.uniform(keys[7], (10, 14, 128)),
        jax.random.randint(keys[8], (10, 14), 0, 26),
    )


def wavenet():
    dilations, channels, skip, mixtures, outputs = [2**i for i in range(10)] * 2, 32, 512, 10, 1000
    seen = sum(dilations) + 2
    keys = iter(jax.random.split(jax.random.key(0), 64))

    def conv_params(kernel, inputs, outputs):
        return {"kernel": glorot(next(keys), (kernel, inputs, outputs)), "bias": jnp.zeros(outputs)}

    params = {
        "in": conv_params(2, 1, channels),
        "blocks": [
            {
                "gate": conv_params(2, channels, 2 * channels),
                "residual": conv_params(1, channels, channels),
                "skip": conv_params(1, channels, skip),
            }
            for _ in dilations
        ],
        "out1": conv_params(1, skip, skip),
        "out2": conv_params(1, skip, 3 * mixtures),
    }
    # What comes after the last block is read from its skip connection alone.
    del params["blocks"][-1]["residual"]

    def conv(params, x, dilation=1):
        y = jax.lax.conv_general_dilated(
            x, params["kernel"], (1,), "VALID", rhs_dilation=(dilation,), dimension_numbers=("NWC", "WIO", "NWC")
        )
        return y + params["bias"]

    def net(params, x):
        hidden, out = conv(params["in"], x), 0
        for dilation, block in zip(dilations, params["blocks"]):
            a, b = jnp.split(conv(block["gate"], hidden, dilation), 2, -1)
            units = jnp.tanh(a) * jax.nn.sigmoid(b)
            if "residual" in block:
                hidden = conv(block["residual"], units) + hidden[:, dilation:]
            out = out + conv(block["skip"], units[:, -outputs:])
        return conv(params["out2"], jax.nn.relu(conv(params["out1"], jax.nn.relu(out))))

    def loss(params, piece):
        logits, means, scales = jnp.split(net(params, piece[:, :-1]), 3, -1)
        return logistic_mixture(logits, means, scales, piece[:, seen:])

    return training(
        loss, adam(1e-3), params, jax.random.uniform(next(keys), (1, seen + outputs, 1), minval=-1.0)
    )


def logistic_mixture(logits, means, scales, x, levels=65536):
    scales = jnp.maximum(scales, -7.0)
    centered, inverse, half = x - means, jnp.exp(-scales), 1 / (levels - 1)
    above, below, middle = inverse * (centered + half), inverse * (centered - half), inverse * centered
    share = jax.nn.sigmoid(above) - jax.nn.sigmoid(below)
    density = middle - scales - 2 * jax.nn.softplus(middle) - jnp.log((levels - 1) / 2)
    inside = jnp.where(share > 1e-5, jnp.log(jnp.maximum(share, 1e-12)), density)
    low, high = above - jax.nn.softplus(above), -jax.nn.softplus(below)
    log = jnp.where(x < -0.999, low, jnp.where(x > 0.999, high, inside))
    return -jax.nn.logsumexp(log + jax.nn.log_softmax(logits), -1).mean()


def resnet50():
    keys = iter(jax.random.split(jax.random.key(0), 64))
    he = jax.nn.initializers.he_normal()

    def norm_params(channels):
        return {"gamma": jnp.ones(channels), "beta": jnp.zeros(channels)}

    def running(channels):
        return {"mean": jnp.zeros(channels), "variance": jnp.ones(channels)}

    # Convolutions in the order in which they are used: name, size, stride, channels in and out.
    convs = [("stem", 7, 2, 3, 64)]
    channels = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            name = f"{stage}.{block}"
            convs += [(name + ".1", 1, 1, channels, width), (name + ".2", 3, stride, width, width)]
            convs += [(name + ".3", 1, 1, width, 4 * width)]
            if block == 0:
                convs += [(name + ".shortcut", 1, stride, channels, 4 * width)]
            channels = 4 * width
    spec = {name: (size, stride) for name, size, stride, _, _ in convs}
    params = {n: {"kernel": he(next(keys), (s, s, i, o)), **norm_params(o)} for n, s, _, i, o in convs}
    params["dense"] = dense_params(next(keys), 2048, 1000)
    statistics = {name: running(outputs) for name, _, _, _, outputs in convs}

    def loss(params, statistics, x, y):
        moved = {}

        def conv(name, x):
            size, stride = spec[name]
            x = jax.lax.conv_general_dilated(
                x,
                params[name]["kernel"],
                (stride, stride),
                [(size // 2, size // 2)] * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            unbiased = variance * (x[..., 0].size / (x[..., 0].size - 1))
            blend = lambda old, new: 0.9 * old + 0.1 * new
            old = statistics[name]
            moved[name] = {"mean": blend(old["mean"], mean), "variance": blend(old["variance"], unbiased)}
            return params[name]["gamma"] * (x - mean) * jax.lax.rsqrt(variance + 1e-5) + params[name]["beta"]

        x = jax.nn.relu(conv("stem", x))
        x = jax.lax.reduce_window(
            x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
        )
        for stage, blocks in enumerate([3, 4, 6, 3]):
            for block in range(blocks):
                name = f"{stage}.{block}"
                shortcut = conv(name + ".shortcut", x) if block == 0 else x
                z = jax.nn.relu(conv(name + ".1", x))
                z = jax.nn.relu(conv(name + ".2", z))
                x = jax.nn.relu(conv(name + ".3", z) + shortcut)
        return cross_entropy(dense(params["dense"], x.mean((1, 2))), y), moved

    init, update = momentum(0.01)

    @jax.jit(donate_argnums=0)
    def advance(state, x, y):
        state, statistics = state
        (value, moved), grads = jax.value_and_grad(loss, has_aux=True)(state[0], statistics, x, y)
        return (update(state, grads), moved), value

    images = jax.random.uniform(next(keys), (8, 224, 224, 3))
    labels = jax.random.randint(next(keys), (8,), 0, 1000)
    state = jax.tree.map(lambda x: x.copy(), (init(params), statistics))

    def step():
        nonlocal state
        state, value = advance(state, images, labels)
        jax.block_until_ready((state, value))

    return step


def elementwise():
    x = jax.random.uniform(jax.random.key(0), (10_000_000,))
    chain = jax.jit(lambda x: jnp.sin(x) * jnp.exp(-x) + x * x - 0.5)
    return lambda: chain(x).block_until_ready()


def dispatch_eager():
    x = jnp.array([1.0, 2.0, 3.0, 4.0])

    def step():
        for _ in range(1000):
            y = x + 1.0
        y.block_until_ready()

    return step


WORKLOADS = [mlp, mlp_loop, vae, convnet, gru, wavenet, resnet50, elementwise, dispatch_eager]
serve(jax.__version__, {workload.__name__: workload for workload in WORKLOADS})
