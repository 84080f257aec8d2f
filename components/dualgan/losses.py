"""The losses of DualGAN, as functions of tensors. Names are those of the run folder and of the original's log."""

from typing import Any, Callable, Dict, NamedTuple

from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf

Tensor = Any

GRADIENT_PENALTY_WEIGHT = 10.0
SLOPE_EPSILON = 1e-8


class Translations(NamedTuple):
    """A pair of batches and what the generators make of it; all [N, S, S, C] in [-1, 1]."""

    real_A: Tensor
    A2B: Tensor
    A2B2A: Tensor
    real_B: Tensor
    B2A: Tensor
    B2A2B: Tensor


def reconstruction_loss(reconstructed: Tensor, real: Tensor, metric: str) -> Tensor:
    """Reconstruction (cycle) loss: mean absolute (L1) or mean square (L2) difference, a scalar."""
    difference = reconstructed - real
    return tf.reduce_mean(tf.square(difference) if metric == "L2" else tf.abs(difference))


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    labels = tf.fill(logits.shape, label)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, epsilon: Tensor) -> Tensor:
    """How far the critic's slope between real and fake images is from 1 (Gulrajani et al., arXiv 1704.00028).

    epsilon: [N, 1, 1, 1] in [0, 1), where between real (0) and fake (1) the slope is taken.
    """
    between = real + epsilon * (fake - real)
    (gradient,) = tf.gradients(critic(between), [between])
    slope = tf.sqrt(SLOPE_EPSILON + tf.reduce_sum(tf.square(gradient), [1, 2, 3]))
    return tf.reduce_mean(tf.square(slope - 1.0))


def critic_losses(
    critic_of_A_g: Callable[[Tensor], Tensor],
    critic_of_B_g: Callable[[Tensor], Tensor],
    images: Translations,
    epsilon_A: Tensor,
    epsilon_B: Tensor,
    options: TrainOptions,
) -> Dict[str, Tensor]:
    """Every term of the critics' loss; "d_loss" is what they minimise. "Ad", "Bd" leave the gradient penalty out."""
    terms: Dict[str, Tensor] = {}
    of_A_g, of_B_g = ("Ad", critic_of_A_g, images.real_B, images.A2B), ("Bd", critic_of_B_g, images.real_A, images.B2A)
    for name, critic, real, fake in (of_A_g, of_B_g):
        judged_fake, judged_real = critic(fake), critic(real)
        if options.GAN_type == "classic":
            of_fake, of_real = cross_entropy(judged_fake, 0.0), cross_entropy(judged_real, 1.0)
        else:
            of_fake, of_real = tf.reduce_mean(judged_fake), -tf.reduce_mean(judged_real)
        terms.update({name + "_fake": of_fake, name + "_real": of_real, name + "_loss": of_fake + of_real})
    terms["d_loss"] = terms["Ad_loss"] + terms["Bd_loss"]
    if options.GAN_type == "wgan-gp":
        terms["gradient_penalty"] = gradient_penalty(
            critic_of_A_g, images.real_B, images.A2B, epsilon_B
        ) + gradient_penalty(critic_of_B_g, images.real_A, images.B2A, epsilon_A)
        terms["d_loss"] += GRADIENT_PENALTY_WEIGHT * terms["gradient_penalty"]
    return terms


def adversarial_loss(judged_fake: Tensor, GAN_type: str) -> Tensor:
    return cross_entropy(judged_fake, 1.0) if GAN_type == "classic" else -tf.reduce_mean(judged_fake)


def generator_losses(
    critic_of_A_g: Callable[[Tensor], Tensor],
    critic_of_B_g: Callable[[Tensor], Tensor],
    images: Translations,
    options: TrainOptions,
) -> Dict[str, Tensor]:
    """Every term of the generators' loss; "g_loss" is what they minimise.

    A_g answers for what comes back in domain B (lambda_B), B_g for domain A, as in the original.
    """
    terms = {
        "A_loss": reconstruction_loss(images.A2B2A, images.real_A, options.loss_metric),
        "B_loss": reconstruction_loss(images.B2A2B, images.real_B, options.loss_metric),
    }
    adversarial_A = adversarial_loss(critic_of_A_g(images.A2B), options.GAN_type)
    adversarial_B = adversarial_loss(critic_of_B_g(images.B2A), options.GAN_type)
    terms["Ag_loss"] = adversarial_A + options.lambda_B * terms["B_loss"]
    terms["Bg_loss"] = adversarial_B + options.lambda_A * terms["A_loss"]
    terms["g_loss"] = terms["Ag_loss"] + terms["Bg_loss"]
    return terms
