"""Published configs in miniature: the keys are theirs, in their spellings."""

TUNE_A_VIDEO = """
pretrained_model_path: "./checkpoints/stable-diffusion-v1-4"
output_dir: "./outputs/man-skiing"
train_data:
  video_path: "data/man-skiing.mp4"
  prompt: "a man is skiing"
  n_sample_frames: 24
  width: 512
  height: 512
  sample_start_idx: 0
  sample_frame_rate: 2
validation_data:
  prompts:
    - "spider man is skiing on the beach, cartoon style"
    - "a man's skiing at sunset"
  video_length: 24
  width: 512
  height: 512
  num_inference_steps: 50
  guidance_scale: 12.5
  use_inv_latent: True
  num_inv_steps: 50
learning_rate: 3e-5
train_batch_size: 1
max_train_steps: 500
checkpointing_steps: 1000
validation_steps: 100
trainable_modules:
  - "attn1.to_q"
  - "attn2.to_q"
  - "attn_temp"
seed: 33
mixed_precision: fp16
use_8bit_adam: False
gradient_checkpointing: True
enable_xformers_memory_efficient_attention: True
"""
LOVEU = """
pretrained_model_path: ./checkpoints/stable-diffusion-v1-4
output_dir: ./outputs/loveu-tgve-2023/DAVIS_480p/gold-fish
train_data:
  video_path: ./data/480p_frames/gold-fish
  prompt: Several goldfish swim in a tank.
  height: 480
  width: 480
  num_frames: 32
  frame_rate: 1
validation_data:
  prompts:
    style: Several goldfish swim in a tank, impressionist style.
    object: Several sharks swim in a tank.
    background: Several goldfish swim in a pond.
    multiple: Several koi fish swim in a pond, rainbow color scheme.
  num_inference_steps: 50
  guidance_scale: 12.5
  use_inv_latent: false
learning_rate: 3.0e-05
max_train_steps: 500
"""
FATEZERO = """
pretrained_model_path: "./ckpt/jeep_tuned_200"
dataset_config:
    path: "data/teaser_car-turn"
    prompt: "a silver jeep driving down a curvy road in the countryside,"
    n_sample_frame: 8
    sampling_rate: 1
    stride: 80
    offset: {left: 0, right: 0, top: 0, bottom: 0}
editing_config:
    use_invertion_latents: true
    use_inversion_attention: true
    guidance_scale: 7.5
    editing_prompts: [
        a Porsche car driving down a curvy road in the countryside,
        watercolor painting of a silver jeep driving down a curvy road in the countryside,
    ]
    p2p_config:
        0:
            cross_replace_steps:
                default_: 0.5
                road: [0, 0.3]
            self_replace_steps: 0.4
            use_inversion_attention: True
            is_replace_controller: True
            blend_words: [['silver', 'jeep'], ["Porsche", 'car']]
            blend_self_attention: True
            blend_latents: True
            blend_th: [0.3, 0.3]
        1:
            cross_replace_steps:
                default_: 0.8
            self_replace_steps: 0.8
            is_replace_controller: False
            eq_params:
                words: ["watercolor"]
                values: [10]
    clip_length: "${..dataset_config.n_sample_frame}"
    sample_seeds: [0]
    num_inference_steps: 50
    prompt2prompt_edit: True
model_config:
    lora: 160
    SparseCausalAttention_index: [0, 'mid']
    least_sc_channel: 640
test_pipeline_config:
    target: video_diffusion.pipelines.p2p_ddim_spatial_temporal.P2pDDIMSpatioTemporalPipeline
    num_inference_steps: "${..validation_sample_logger.num_inference_steps}"
seed: 0
"""
FATEZERO_OLDER = """
pretrained_model_path: "./ckpt/stable-diffusion-v1-4"
train_dataset:
    path: "data/attribute/swan_swarov"
    prompt: "a black swan swimming in a river,"
    n_sample_frame: 8
    sampling_rate: 2
validation_sample_logger_config:
    use_train_latents: True
    use_inversion_attention: False
    prompts: [a black swan swimming in a river, a Swarovski swan swimming in a river]
    p2p_config:
        0:
            cross_replace_steps: {default_: 0.8}
            self_replace_steps: 0.6
            blend_words: [['cat',], ["cat",]]
            masked_self_attention: True
            bend_th: [2, 2]
        1:
            is_replace_controller: False
            cross_replace_steps: {default_: 0.8}
            self_replace_steps: 0.6
            eq_params: {words: ["Swarovski", "sculpture"], values: [5, 5]}
            blend_words: [['swan',], ["swan",]]
            masked_self_attention: True
            bend_th: [2, 2]
    prompt2prompt_edit: True
"""
FATEZERO_TUNING = """
pretrained_model_path: "./ckpt/stable-diffusion-v1-5"
train_dataset:
    path: "data/shape/teaser_car-turn"
    prompt: "a silver jeep driving down a curvy road in the countryside,"
    n_sample_frame: 8
    class_data_root: "data/negative_reg/car"
    class_data_prompt: "a photo of a car"
validation_sample_logger_config:
    use_train_latents: True
    guidance_scale: 7.5
    prompts: ["a silver jeep driving down a curvy road in the countryside", "a Porsche car driving down a curvy road"]
    sample_seeds: [12734]
    num_inference_steps: 50
    strength: 0.99
trainer_pipeline_config:
    target: video_diffusion.trainer.ddpm_trainer.DDPMTrainer
test_pipeline_config:
    target: video_diffusion.pipelines.ddim_spatial_temporal.DDIMSpatioTemporalStableDiffusionPipeline
model_config:
    lora: 160
enable_xformers: True
mixed_precision: 'fp16'
gradient_checkpointing: True
train_steps: 1000
validation_steps: 50
checkpointing_steps: 50
seed: 74831
learning_rate: 1e-5
train_temporal_conv: True
"""
VID2VID_ZERO = """
pretrained_model_path: checkpoints/stable-diffusion-v1-4
output_dir: outputs/car-moving
input_data:
  video_path: data/car-moving.mp4
  prompt: a car is moving on the road
  n_sample_frames: 8
  width: 512
  height: 512
  sample_start_idx: 0
  sample_frame_rate: 1
validation_data:
  prompts:
  - a car is moving on the snow
  - a jeep car is moving on the road
  video_length: 8
  width: 512
  height: 512
  num_inference_steps: 50
  guidance_scale: 7.5
  num_inv_steps: 50
  use_null_inv: True
  null_inner_steps: 1
  null_base_lr: 1e-2
  null_uncond_ratio: -0.5
  null_normal_infer: True
input_batch_size: 1
seed: 33
mixed_precision: "no"
gradient_checkpointing: True
enable_xformers_memory_efficient_attention: True
use_sc_attn: True
use_st_attn: True
st_attn_idx: 0
"""
VIDEO_P2P = """
pretrained_model_path: "./outputs/man-motor"
image_path: "./data/motorbike"
prompt: "a man is driving a motorbike in the forest"
prompts:
  - "a man is driving a motorbike in the forest"
  - "a Spider-Man is driving a motorbike in the forest"
blend_word:
  - 'man'
  - 'Spider-Man'
eq_params:
  words:
    - "Spider-Man"
  values:
    - 4
save_name: "spider"
is_word_swap: True
cross_replace_steps: 0.3
self_replace_steps: 0.6
video_len: 8
"""
